// Starts the Chromium that `npm ci` has brought. It needs nothing of the
// machine: no browser, no libraries, no fonts, no internet. It is unpacked into
// the folder for temporary files, TMPDIR.

import { writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

export async function launch() {
  // The package has the libraries that Chromium needs, but unpacks them only
  // where it believes to be on a service of Amazon's. So let it.
  process.env.AWS_LAMBDA_JS_RUNTIME ??= "nodejs22.x";
  const { default: packaged } = await import("@sparticuz/chromium");

  // It has fonts too, but expects them in /tmp. Without any, Chromium ends. The
  // machine's own come first, if it has some: they are better for pictures.
  const fonts = join(tmpdir(), "playground-fonts.conf");
  writeFileSync(
    fonts,
    `<?xml version="1.0"?>
    <fontconfig>
      <include ignore_missing="yes">/etc/fonts/fonts.conf</include>
      <dir>${join(tmpdir(), "fonts")}</dir>
      <cachedir>${join(tmpdir(), "fonts-cache")}</cachedir>
    </fontconfig>`,
  );
  process.env.FONTCONFIG_FILE = fonts;

  return chromium.launch({
    executablePath: await packaged.executablePath(),
    args: ["--no-sandbox"], // CI runs as root, where Chromium's own cannot work
  });
}
