'use strict';
// Draws SVG pictures for the photo album. It reads frames from standard input, each a 32-bit little-endian length and that many
// bytes of SVG, and answers each in order on standard output: 32-bit width and height, then width x height RGBA bytes
// (straight alpha); 0 x 0 where the picture could not be drawn. The library aborts the whole process on a few pictures, so the
// caller starts a new one behind the picture that was not answered. The first answer is the four bytes "draw": the library is here.
const fs = require('fs');
const { Resvg } = require('@resvg/resvg-js');

const SIZE = 128;

function readExactly(count) {
  const buffer = Buffer.alloc(count);
  let got = 0;
  while (got < count) {
    let n;
    try {
      n = fs.readSync(0, buffer, got, count - got, null);
    } catch (e) {
      if (e.code === 'EAGAIN') {
        continue;
      }

      if (e.code === 'EOF') {
        return null;
      }

      throw e;
    }

    if (n === 0) {
      return null;
    }

    got += n;
  }

  return buffer;
}

function writeAll(buffer) {
  let done = 0;
  while (done < buffer.length) {
    try {
      done += fs.writeSync(1, buffer, done, buffer.length - done);
    } catch (e) {
      if (e.code !== 'EAGAIN') {
        throw e;
      }
    }
  }
}

function draw(svg) {
  const options = { font: { loadSystemFonts: false }, fitTo: { mode: 'original' } };
  const plain = new Resvg(svg, options);
  options.fitTo = plain.width >= plain.height ? { mode: 'width', value: SIZE } : { mode: 'height', value: SIZE };
  return new Resvg(svg, options).render();
}

writeAll(Buffer.from('draw'));
for (;;) {
  const header = readExactly(4);
  if (header === null) {
    break;
  }

  const svg = readExactly(header.readUInt32LE(0));
  if (svg === null) {
    break;
  }

  const answer = Buffer.alloc(8);
  let pixels = Buffer.alloc(0);
  try {
    const picture = draw(svg.toString('utf8'));
    answer.writeUInt32LE(picture.width, 0);
    answer.writeUInt32LE(picture.height, 4);
    pixels = picture.pixels;
  } catch {
    answer.fill(0);
  }

  writeAll(answer);
  writeAll(pixels);
}
