//! The inbox in a real browser: it stays live, works by keyboard, on a phone, and in the dark.
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::support::{Relay, Setup, firing, notification, skip, until};

/// A headless Chromium, spoken to through two pipes in its `DevTools` protocol.
struct Browser {
    child: Child,
    to: File,
    from: BufReader<File>,
    calls: u64,
    session: Option<String>,
    _folder: TempDir,
}

impl Browser {
    /// Nothing where there is no Chromium.
    fn start() -> Option<Self> {
        if !Command::new("chromium")
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
        {
            skip("chromium");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        assert!(Command::new("mkfifo").args([path("to"), path("from")]).status().unwrap().success());
        let child = Command::new("sh")
            .args(["-c", r#"exec chromium --headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --user-data-dir="$1/profile" --remote-debugging-pipe about:blank 3<"$1/to" 4>"$1/from" "#, "sh"])
            .arg(folder.path())
            .env("HOME", folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Each waits for the other side.
        let to = File::options().write(true).open(path("to")).unwrap();
        let from = BufReader::new(File::open(path("from")).unwrap());
        let mut browser = Self { child, to, from, calls: 0, session: None, _folder: folder };
        let target = browser.call("Target.createTarget", &json!({ "url": "about:blank" }))["targetId"].clone();
        let session = browser.call("Target.attachToTarget", &json!({ "targetId": target, "flatten": true }));
        browser.session = Some(session["sessionId"].as_str().unwrap().to_owned());
        Some(browser)
    }

    fn call(&mut self, method: &str, parameters: &Value) -> Value {
        self.calls += 1;
        let mut message = json!({ "id": self.calls, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        self.to.write_all(format!("{message}\0").as_bytes()).unwrap();
        loop {
            let mut answer = Vec::new();
            assert!(self.from.read_until(0, &mut answer).unwrap() > 0, "Chromium has ended");
            answer.pop();
            let answer: Value = serde_json::from_slice(&answer).unwrap();
            if answer["id"] == json!(self.calls) {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].clone();
            }
        }
    }

    fn value(&mut self, expression: &str) -> Value {
        let asked = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        self.call("Runtime.evaluate", &asked)["result"]["value"].clone()
    }

    /// Waits until `expression` is true on the page.
    async fn sees(&mut self, expression: &str) {
        let browser = std::sync::Mutex::new(self);
        until(&format!("the page to have {expression}"), async || {
            let seen = browser.lock().unwrap().value(expression) == json!(true);
            seen.then_some(())
        })
        .await;
    }

    async fn open(&mut self, relay: &Relay, path: &str) {
        self.call("Page.navigate", &json!({ "url": format!("{}{path}", relay.public) }));
        self.sees(&format!("document.readyState === 'complete' && location.pathname + location.search === '{path}'"))
            .await;
    }

    fn press(&mut self, key: &str) {
        let (code, text) = if key == "Enter" { (13, "\r") } else { (9, "") };
        for kind in ["keyDown", "keyUp"] {
            let event = json!({ "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, "text": if kind == "keyDown" { text } else { "" } });
            self.call("Input.dispatchKeyEvent", &event);
        }
    }

    /// Tabs on until what has the focus fits.
    fn tab_to(&mut self, fits: &str) {
        let reached = (0..60).any(|_| {
            self.press("Tab");
            self.value(&format!("document.activeElement.matches({})", json!(fits))) == json!(true)
        });
        assert!(reached, "the keyboard does not reach {fits}");
    }

    fn write(&mut self, text: &str) {
        self.call("Input.insertText", &json!({ "text": text }));
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn says(text: &str) -> String {
    format!("document.body.innerText.includes({})", json!(text))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_open_page_shows_what_happens_and_an_incident_is_taken_by_keyboard() {
    let Some(mut browser) = Browser::start() else { return };
    let relay = Setup::new().start().await;
    browser.open(&relay, "/").await;
    browser.sees(&says("Nothing is broken")).await;
    browser.sees("document.getElementById('status').textContent === 'Updates by itself.'").await;
    browser.value("window.stayed = true");
    relay.notify(&firing()).await;
    browser.sees(&says("orders has lost its database")).await;
    assert_eq!(browser.value("window.stayed"), json!(true), "without loading the page again");

    browser.tab_to("a.card");
    browser.press("Enter");
    browser.sees(&says("What users notice")).await;
    browser.tab_to("input[name=who]");
    browser.write("Ann");
    browser.press("Enter");
    browser.sees(&says("Taken by Ann")).await;
    assert_eq!(relay.incidents().await[0]["state"], "acknowledged");

    browser.tab_to("input[name=who]");
    browser.write("Ann");
    browser.press("Tab");
    browser.write("the disk is full");
    browser.press("Enter");
    browser.sees(&says("Ann: the disk is full")).await;

    relay.notify(&notification("Another", "2026-11-20T13:00:00Z", None)).await;
    browser.open(&relay, "/?q=&state=acknowledged&failure_type=").await;
    browser.sees("document.querySelectorAll('a.card').length === 1").await;
    browser.value("document.querySelector('select[name=state]').value = ''; document.querySelector('form.filters').requestSubmit()");
    browser.sees("document.querySelectorAll('a.card').length === 2").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn on_a_phone_and_in_the_dark_everything_can_be_read() {
    let Some(mut browser) = Browser::start() else { return };
    let relay = Setup::new().start().await;
    let mut long = firing();
    long["alerts"][0]["labels"]["a_label_with_a_long_name"] = json!("x".repeat(300));
    relay.notify(&long).await;
    let code = relay.incidents().await[0]["code"].as_str().unwrap().to_owned();
    browser.call(
        "Emulation.setDeviceMetricsOverride",
        &json!({ "width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": true }),
    );
    let scheme = json!({ "features": [{ "name": "prefers-color-scheme", "value": "dark" }] });
    for path in ["/", &format!("/incidents/{code}"), "/runbooks", "/runbooks/db_down"] {
        browser.call("Emulation.setEmulatedMedia", &json!({ "features": [] }));
        browser.open(&relay, path).await;
        let wide = browser.value("document.documentElement.scrollWidth - innerWidth").as_i64().unwrap();
        assert!(wide <= 0, "{path} is {wide} pixels too wide");
        let colors =
            "(() => { const style = getComputedStyle(document.body); return [style.backgroundColor, style.color]; })()";
        let light = browser.value(colors);
        browser.call("Emulation.setEmulatedMedia", &scheme);
        let dark = browser.value(colors);
        assert_eq!((&light[0], &dark[0]), (&json!("rgb(250, 250, 250)"), &json!("rgb(22, 22, 26)")), "{path}");
        assert_ne!(light[1], dark[1], "{path}");
    }
}
