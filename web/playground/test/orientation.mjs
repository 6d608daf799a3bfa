// Shows the original and the thumbnails of images in a real browser, and fails
// unless the browser turns all three alike. ORIENTATION_LINKS says where they
// are: a JSON array with an object of three addresses for each image.

import assert from "node:assert/strict";
import { launch } from "./chromium.mjs";

const images = JSON.parse(process.env.ORIENTATION_LINKS);

// Returns a file as a data URL: a page of the server may not show files.
async function download(address) {
  const response = await fetch(address);
  assert.equal(response.status, 200, address);
  const bytes = Buffer.from(await response.arrayBuffer());
  return `data:image/jpeg;base64,${bytes.toString("base64")}`;
}

// Runs in the page: returns the form of an image as the browser shows it, and
// whether each of its corners is light.
async function shown(address) {
  const image = new Image();
  image.src = address;
  await image.decode();
  const [width, height] = [image.naturalWidth, image.naturalHeight];
  const canvas = Object.assign(document.createElement("canvas"), {
    width,
    height,
  });
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  const corners = [
    [0.1, 0.1],
    [0.9, 0.1],
    [0.1, 0.9],
    [0.9, 0.9],
  ].map(([x, y]) => {
    const [red] = context.getImageData(x * width, y * height, 1, 1).data;
    return red > 127 ? "light" : "dark";
  });
  return `${width > height ? "wide" : "high"}, ${corners.join(" ")}`;
}

const browser = await launch();
try {
  const page = await browser.newPage();
  const forms = new Set();
  for (const [n, image] of images.entries()) {
    const look = async (variant) =>
      page.evaluate(shown, await download(image[variant]));
    const original = await look("original");
    for (const variant of ["thumbnail", "mini"])
      assert.equal(
        await look(variant),
        original,
        `the ${variant} of image ${n}, compared with the original`,
      );
    forms.add(original);
  }
  assert.equal(forms.size, images.length, "images that look different");
} finally {
  await browser.close();
}
