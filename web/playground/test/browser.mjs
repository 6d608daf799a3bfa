// Works with the playground in a real browser, as a person would, and fails at
// the first thing that is not as it should be. The environment says where:
//
//   PLAYGROUND_URL       the server's address
//   PLAYGROUND_USER, PLAYGROUND_PASSWORD
//                        someone who may upload
//   PLAYGROUND_PHOTO     a photograph the server takes
//   PLAYGROUND_PICTURES  a folder for screenshots, if some are wanted

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { launch } from "./chromium.mjs";

const {
  PLAYGROUND_URL: url,
  PLAYGROUND_USER: username,
  PLAYGROUND_PASSWORD: password,
  PLAYGROUND_PHOTO: photo,
  PLAYGROUND_PICTURES: pictures,
} = process.env;
assert.ok(
  url && username && password && photo,
  "PLAYGROUND_URL, _USER, _PASSWORD and _PHOTO say where and with what to work",
);
const origin = new URL(url).origin;

const browser = await launch();
try {
  await work(
    await browser.newContext({ viewport: { width: 1360, height: 860 } }),
  );
} finally {
  await browser.close();
}

async function work(context) {
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  const strangers = [];
  const complaints = [];
  // The context sees the requests of workers too.
  context.on("request", (request) => {
    const target = new URL(request.url());
    if (
      !["data:", "blob:"].includes(target.protocol) &&
      target.origin !== origin
    )
      strangers.push(request.url());
  });
  context.on("weberror", (error) => complaints.push(error.error().stack));
  page.on("console", (message) => {
    // Chromium reports every 401; the one that a step provokes is no fault.
    const refused =
      message.location().url === `${origin}/graphql` &&
      message.text().includes("status of 401");
    if (["error", "warning"].includes(message.type()) && !refused)
      complaints.push(message.text());
  });
  const workers = Promise.all(
    ["editor", "graphql", "json"].map((kind) =>
      page.waitForEvent("worker", (worker) =>
        basename(worker.url()).startsWith(`${kind}.worker-`),
      ),
    ),
  );
  workers.catch(() => {}); // its step tells, if an earlier one did not

  const step = async (what, does) => {
    try {
      await does();
    } catch (error) {
      await picture(page, "failed");
      console.error(`${what}: failed`, { strangers, complaints });
      throw error;
    }
    console.log(`${what}: done`);
  };
  const alert = page.getByRole("alert");
  const answer = page.locator(".graphiql-response .view-lines");

  await step("the page shows the editor with the examples", async () => {
    await page.goto(url);
    await page.locator(".graphiql-query-editor .view-line").first().waitFor();
    await see(page.locator(".graphiql-query-editor"), "WhoAmI");
    const upload = page.getByRole("button", { name: "Upload" });
    assert.ok(await upload.isDisabled(), "upload while nobody is signed in");
    await picture(page, "start");
  });

  await step("all three kinds of worker run", () => workers);

  await step("an example runs for someone not signed in", async () => {
    await run(page, "WhoAmI");
    await see(answer, '"viewer": null');
  });

  await step("a wrong password shows the server's message", async () => {
    await signIn(page, username, "wrong");
    await see(alert, "wrong name or password");
  });

  await step("the right one signs in", async () => {
    await signIn(page, username, password);
    await see(page.locator(".who"), `Signed in as ${username}`);
  });

  await step("operations are then sent as that person", async () => {
    await run(page, "WhoAmI");
    await see(answer, `"username": "${username}"`);
    await picture(page, "answer");
  });

  await step("photographs can be uploaded", async () => {
    const jpeg = {
      mimeType: "image/jpeg",
      buffer: Buffer.from("not a picture"),
    };
    const good = {
      ...jpeg,
      name: basename(photo),
      buffer: readFileSync(photo),
    };
    await page
      .getByLabel("Photographs")
      .setInputFiles([good, { ...jpeg, name: "broken.jpg" }]);
    const dialog = page.getByRole("dialog");
    await see(dialog.locator("tbody tr").nth(0), /CREATED|UNCHANGED/);
    await see(dialog.locator("tbody tr").nth(1), /REJECTED.+\w/);
    await see(dialog, "Done");
    await picture(page, "upload");
    await dialog.getByRole("button", { name: "Close" }).click();
    await dialog.waitFor({ state: "hidden" });
  });

  await step("labels can be submitted, and looked at", async () => {
    await run(page, "SubmitLabels");
    await see(answer, '"outcome": "ACCEPTED"');
    await run(page, "Video");
    await see(answer, '"labelledFrames": 1');
    // What was chosen has come into sight.
    await see(page.locator(".graphiql-query-editor"), "query Video");
    await page.getByRole("button", { name: "Variables" }).click();
    await see(page.locator(".graphiql-editor-tool"), "rat-7.mp4");
    await picture(page, "labels");
    await page.getByLabel("Hide editor tools").click();
  });

  await step("a subscription tells what happens meanwhile", async () => {
    await run(page, "LabelsOnTheirWay");
    const told = see(answer, /"frameIndex":\s8/);
    // It is in force soon after it was sent.
    for (let second = 0, waiting = true; waiting; second++) {
      await submitLabels(page, 8, second);
      await Promise.race([
        told.then(() => (waiting = false)),
        page.waitForTimeout(200),
      ]);
    }
    await picture(page, "subscription");
    await page.getByRole("button", { name: "Stop query" }).click();
  });

  await step("the documentation opens", async () => {
    await page.getByLabel("Show Documentation Explorer").click();
    await see(page.locator(".graphiql-doc-explorer"), "Mutation");
    await page.getByRole("link", { name: "Mutation", exact: true }).click();
    await see(page.locator(".graphiql-doc-explorer"), "uploadImages");
    await picture(page, "documentation");
  });

  await step("the history has what was run", async () => {
    await page.getByLabel("Show History").click();
    await see(page.locator(".graphiql-history"), "WhoAmI");
  });

  await step("the sign-in lasts while the tab does", async () => {
    await page.emulateMedia({ colorScheme: "dark" });
    await page.reload();
    await see(page.locator(".who"), `Signed in as ${username}`);
    await see(page.locator(".graphiql-query-editor"), "WhoAmI");
    await run(page, "WhoAmI");
    await see(answer, `"username": "${username}"`);
    await picture(page, "dark");
  });

  await step("a token the server refuses asks to sign in again", async () => {
    await page.evaluate(() => {
      const session = JSON.parse(sessionStorage.getItem("tagma.session"));
      const broken = JSON.stringify({ ...session, token: "unknown" });
      sessionStorage.setItem("tagma.session", broken);
    });
    await page.reload();
    await see(alert, "Sign in again");
    await picture(page, "refused");
  });

  await step("signing out leaves nothing behind", async () => {
    await signIn(page, username, password);
    await see(page.locator(".who"), username);
    const kept = await page.evaluate(() => sessionStorage["tagma.session"]);
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByRole("button", { name: "Sign in" }).waitFor();
    assert.equal(await page.evaluate(() => sessionStorage.length), 0);
    const stored = await page.evaluate(() =>
      JSON.stringify({ ...localStorage }),
    );
    assert.ok(!stored.includes(JSON.parse(kept).token), "the token is left");
  });

  assert.deepEqual(strangers, [], "requests that left the origin");
  assert.deepEqual(complaints, [], "what the browser complained of");
}

async function signIn(page, username, password) {
  await page.getByLabel("User name").fill(username);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
}

/** Submits the labels of the examples for another frame, beside the page's own doing. */
async function submitLabels(page, frameIndex, second) {
  const { input } = JSON.parse(
    readFileSync(new URL("../src/examples.json", import.meta.url), "utf8"),
  );
  const timestamp = new Date(second * 1000).toISOString();
  const body = JSON.stringify({
    query: `mutation ($input: LabelSubmissionInput!) { submitLabels(input: $input) { outcome } }`,
    variables: { input: { ...input, frameIndex, timestamp } },
  });
  await page.evaluate(async (body) => {
    const { token } = JSON.parse(sessionStorage.getItem("tagma.session"));
    await fetch("graphql", {
      method: "POST",
      headers: {
        Authorization: `Bearer ${token}`,
        "Content-Type": "application/json",
      },
      body,
    });
  }, body);
}

/** Runs one of the operations in the editor, chosen by its name. */
async function run(page, operation) {
  await page.locator(".graphiql-execute-button").click();
  await page.getByRole("menuitem", { name: operation, exact: true }).click();
}

/** Waits until the text can be read there. */
async function see(locator, text) {
  await locator.filter({ hasText: text, visible: true }).first().waitFor();
}

async function picture(page, name) {
  if (pictures) await page.screenshot({ path: join(pictures, `${name}.png`) });
}
