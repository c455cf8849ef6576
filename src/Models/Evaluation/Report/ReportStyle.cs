namespace CrossAlign.Models.Evaluation.Report;

/// <summary>The page's style sheet: system fonts, light and dark by the reader's preference, nothing loaded.</summary>
internal static class ReportStyle
{
    /// <summary>The number of colours for languages and set-ups (Okabe and Ito's, readable with colour blindness).</summary>
    internal const int ColourCount = 8;

    /// <summary>The sheet.</summary>
    internal const string Sheet = """
        :root{color-scheme:light dark;--bg:#fcfcfb;--panel:#fff;--ink:#1c2024;--soft:#5b646e;--line:#e2e5e9;--faint:#f3f4f6;--accent:#0b5cad;
        --good:#0a6b45;--bad:#a63310;--good-bg:#e3f4ec;--bad-bg:#fbe9e3;--warn-bg:#fff6dd;--warn-line:#d9a500;
        --c0:#0072b2;--c1:#d55e00;--c2:#009e73;--c3:#b8860b;--c4:#b0488f;--c5:#3f9fd8;--c6:#666f7a;--c7:#7a5cc8}
        @media(prefers-color-scheme:dark){:root{--bg:#14171a;--panel:#1b1f24;--ink:#e8eaed;--soft:#a2abb5;--line:#2f353c;--faint:#22272d;--accent:#7bb8ff;
        --good:#6fd3a5;--bad:#ff9d7a;--good-bg:#173327;--bad-bg:#3a2119;--warn-bg:#332b12;--warn-line:#b38f1f;
        --c0:#56a9e8;--c1:#ff8a4c;--c2:#3ecf9f;--c3:#e6bf4d;--c4:#e48cc6;--c5:#8fd0ff;--c6:#a9b2bd;--c7:#b49cf5}}
        *{box-sizing:border-box}
        body{margin:0;background:var(--bg);color:var(--ink);font:16px/1.6 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif}
        main,header,footer{max-width:1120px;margin:0 auto;padding:0 24px}
        header{padding-top:56px}
        .eyebrow{color:var(--soft);font-size:.8125rem;letter-spacing:.08em;text-transform:uppercase;margin:0 0 8px}
        h1{font-size:clamp(1.7rem,4.2vw,2.6rem);line-height:1.15;letter-spacing:-.02em;margin:0 0 16px;max-width:22em;text-wrap:balance}
        h2{font-size:1.35rem;line-height:1.3;letter-spacing:-.01em;margin:56px 0 8px}
        h3{font-size:1.0625rem;margin:28px 0 4px}
        h4{font-size:1rem;margin:0 0 4px}
        p{margin:0 0 12px;max-width:70ch}
        .lead{font-size:1.0625rem}
        .soft,.note{color:var(--soft)}
        .note{font-size:.875rem}
        .notice{border-left:4px solid var(--warn-line);background:var(--warn-bg);padding:10px 16px;border-radius:0 6px 6px 0;max-width:none;margin:16px 0}
        .answer{border-left:4px solid var(--accent);padding:2px 0 2px 18px;margin:20px 0}
        .answer p:last-child{margin:0}.answer strong{font-size:1.0625rem}
        .stats{display:grid;grid-template-columns:repeat(auto-fit,minmax(200px,1fr));gap:16px;margin:28px 0 8px}
        .stat{background:var(--panel);border:1px solid var(--line);border-radius:10px;padding:16px 18px}
        .stat b{display:block;font-size:2rem;line-height:1.2;letter-spacing:-.02em;font-variant-numeric:tabular-nums}
        .stat span{color:var(--soft);font-size:.875rem;display:block;line-height:1.4}
        .scroll{overflow-x:auto;border:1px solid var(--line);border-radius:10px;background:var(--panel);margin:12px 0 20px}
        .scroll:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
        table{border-collapse:collapse;width:100%;font-size:.9375rem;font-variant-numeric:tabular-nums}
        caption{text-align:left;padding:14px 16px 6px;font-weight:600}
        caption small{display:block;font-weight:400;color:var(--soft);font-size:.8125rem}
        th,td{padding:9px 16px;text-align:right;border-top:1px solid var(--line);vertical-align:top;white-space:nowrap}
        thead th{border-top:0;color:var(--soft);font-weight:600;font-size:.8125rem}
        tbody th,thead th:first-child{text-align:left;font-weight:500}
        .pool{display:block;font-weight:400;font-size:.75rem;line-height:1.45}
        tbody th{position:sticky;left:0;background:var(--panel)}
        .prose tbody th{position:static}
        td small{display:block;color:var(--soft);font-size:.75rem;line-height:1.35}
        td .spread{color:var(--soft)}
        tr.base td,tr.base th{background:var(--faint);color:var(--soft)}
        .new{font-weight:650;color:var(--good)}
        .prose th{font-weight:500;text-align:left}.prose td{text-align:left;white-space:normal;overflow-wrap:anywhere}
        details{margin:12px 0}summary{cursor:pointer;color:var(--accent);font-weight:500;padding:6px 0}
        .grid{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,330px),1fr));gap:20px;margin:16px 0}
        figure{margin:0;background:var(--panel);border:1px solid var(--line);border-radius:10px;padding:16px;min-width:0}
        figcaption{font-size:.875rem;color:var(--soft);margin-top:8px}
        figcaption strong{color:var(--ink)}
        svg{display:block;width:100%;height:auto}
        svg text{font:11px system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;fill:var(--soft)}
        .axis{stroke:var(--line);fill:none}
        .curve{fill:none;stroke-width:1.8;stroke-linejoin:round}
        .dots{fill:none;stroke-linecap:round;stroke-width:4.2;opacity:.72}
        .tie{fill:none;stroke:var(--ink);stroke-width:1;opacity:.55}
        .s0{stroke:var(--c0)}.s1{stroke:var(--c1)}.s2{stroke:var(--c2)}.s3{stroke:var(--c3)}.s4{stroke:var(--c4)}.s5{stroke:var(--c5)}.s6{stroke:var(--c6)}.s7{stroke:var(--c7)}
        .legend{display:flex;flex-wrap:wrap;gap:6px 18px;padding:0;margin:12px 0;list-style:none;font-size:.875rem}
        .legend svg{display:inline-block;width:18px;height:12px;margin-right:6px;vertical-align:-1px}
        .cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,250px),1fr));gap:16px;margin:16px 0}
        .card{display:flex;flex-direction:column;gap:10px}
        .card .top{display:flex;gap:14px;align-items:center}
        .card img{width:72px;height:72px;border-radius:8px;background:#fff;border:1px solid var(--line);flex:none}
        .card h4{line-height:1.3;overflow-wrap:anywhere}
        .card ul{list-style:none;margin:0;padding:0;display:grid;gap:4px;font-size:.875rem}
        .card li{display:grid;grid-template-columns:2.6em 1fr;gap:8px;border-radius:6px;padding:4px 8px;overflow-wrap:anywhere}
        .card li small{display:block;color:var(--soft);font-size:.75rem;line-height:1.35}
        .right{background:var(--good-bg)}.wrong{background:var(--bad-bg)}
        .mark{font-weight:700}.right .mark{color:var(--good)}.wrong .mark{color:var(--bad)}
        .code{color:var(--soft);font-size:.75rem;padding-top:2px;text-transform:uppercase;letter-spacing:.04em}
        .vh{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
        footer{padding:32px 24px 56px;color:var(--soft);font-size:.875rem}
        @media(max-width:560px){header{padding-top:32px}main,header,footer{padding-left:16px;padding-right:16px}table{font-size:.8125rem}th,td{padding:7px 6px}caption{padding-left:6px}thead th{font-size:.75rem;white-space:normal}.pool,td small{font-size:.6875rem}tbody th{white-space:normal}h2{margin-top:44px}.stats{grid-template-columns:1fr 1fr;gap:10px}.stat{padding:12px}.stat b{font-size:1.5rem}}
        @media print{.scroll{overflow:visible}figure,.stat{break-inside:avoid}}
        """;
}
