namespace CrossAlign.Models.Evaluation.Report;

/// <summary>The panels of pictures with their nearest captions.</summary>
internal static class ReportPictures
{
    /// <summary>Adds the panels.</summary>
    /// <param name="html">Appended to.</param>
    /// <param name="model">The report.</param>
    internal static void Add(HtmlBuilder html, ReportModel model)
    {
        PicturePanel[] panels = [.. model.Panels.Where(p => p.Cards.Count > 0)];
        if (panels.Length == 0)
        {
            return;
        }

        html.AddRaw("<h2 id=\"panel\">Pictures and the nearest caption in each language</h2>\n");
        foreach (PicturePanel panel in panels)
        {
            int right = panel.Cards.Sum(p => p.Nearest.Count(n => n.IsRight));
            int all = panel.Cards.Sum(p => p.Nearest.Count);
            html.Add($"<h3>{panel.Title}</h3>\n<p>{panel.Choice} Right and wrong alike: {right} of {all} nearest captions name what the picture shows.</p>\n<div class=\"cards\">\n");
            foreach (PictureCard card in panel.Cards)
            {
                AddCard(html, card);
            }

            html.AddRaw("</div>\n");
        }
    }

    private static void AddCard(HtmlBuilder html, PictureCard card)
    {
        string image = Convert.ToBase64String(PngEncoder.Encode(card.Pixels.Span, card.Size, card.Size));
        string origin = card.Licence.Length == 0 ? card.Style : $"{card.Style} · {card.Licence}";
        html.AddRaw("<figure class=\"card\">\n<div class=\"top\">").AddRaw("<img src=\"data:image/png;base64,").AddRaw(image);
        html.Add($"\" width=\"{card.Size}\" height=\"{card.Size}\" alt=\"Drawing of: {card.Name}\">");
        html.Add($"<div><h4>{card.Name}</h4><span class=\"note\">{origin}</span></div></div>\n<ul>\n");
        foreach (NearestCaption nearest in card.Nearest)
        {
            html.AddRaw(nearest.IsRight ? "<li class=\"right\">" : "<li class=\"wrong\">");
            html.Add($"<span class=\"code\">{nearest.Language}</span><div><span class=\"mark\" aria-hidden=\"true\">{(nearest.IsRight ? "✓" : "✗")}</span> ");
            html.Add($"<span class=\"vh\">{(nearest.IsRight ? "right:" : "wrong:")}</span><bdi lang=\"{nearest.Language}\">{nearest.Text}</bdi>");
            if (!nearest.IsRight && nearest.RightText is not null)
            {
                html.Add($"<small>right: <bdi lang=\"{nearest.Language}\">{nearest.RightText}</bdi>");
                if (nearest.Rank is { } rank)
                {
                    html.Add($", at place {rank}");
                }

                html.AddRaw("</small>");
            }

            html.AddRaw("</div></li>\n");
        }

        html.AddRaw("</ul>\n</figure>\n");
    }
}
