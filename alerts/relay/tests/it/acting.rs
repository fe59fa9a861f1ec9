//! Taking incidents, and who may.
use reqwest::Response;
use reqwest::header::{COOKIE, SET_COOKIE};

use super::chat::{Chat, OK};
use super::support::{Relay, Setup, client, firing, until};

async fn code(relay: &Relay) -> String {
    relay.incidents().await[0]["code"].as_str().unwrap().to_owned()
}

/// The address of the first form on the page.
fn form(page: &str) -> String {
    let (_, rest) = page.split_once("action=\"/act/").unwrap();
    format!("/act/{}", rest.split('"').next().unwrap())
}

async fn send(relay: &Relay, path: &str, fields: &str) -> Response {
    let post = relay.post(path).header("content-type", "application/x-www-form-urlencoded");
    post.body(fields.to_owned()).send().await.unwrap()
}

#[tokio::test]
async fn whoever_takes_an_incident_is_named_everywhere_and_the_chat_hears_it() {
    let chat = Chat::start(&[OK]).await;
    let mut setup = Setup::slack(&chat.url);
    setup.set("PUBLIC_URL_RELAY", "https://relay.example.com");
    setup.set("RELAY_SIGN_IN_TOKEN_FILE", "");
    let relay = setup.start().await;
    relay.notify(&firing()).await;
    chat.accepted(1).await;
    let link = chat.posts()[0].body.to_string();
    let (_, link) = link.split_once("https://relay.example.com/act/").unwrap();
    let link = format!("/act/{}", link.split('"').next().unwrap());
    // Opening it, as programs do that preview links, changes nothing.
    assert!(relay.page(&link).await.contains("I take it"));
    assert_eq!(relay.incidents().await[0]["state"], "open");
    let answer = send(&relay, &link, "who=Ann+%3Cb%3E").await;
    assert_eq!(
        (answer.status().as_u16(), answer.headers()["location"].to_str().unwrap()),
        (303, format!("/incidents/{}", code(&relay).await).as_str())
    );
    assert_eq!(relay.incidents().await[0]["state"], "acknowledged");
    assert_eq!(relay.metric("relay_acknowledge_seconds_count").await, Some(1.0));
    let messages = chat.accepted(2).await;
    assert!(messages[1].contains("TAKEN"), "{messages:?}");
    assert_eq!(send(&relay, &link, "who=Eve").await.status().as_u16(), 409, "it works once");
    let page = relay.page(&format!("/incidents/{}", code(&relay).await)).await;
    assert!(page.contains("Ann &lt;b&gt;") && !page.contains("Eve"), "{page}");
}

#[tokio::test]
async fn notes_stand_in_the_timeline_as_text() {
    let relay = Setup::new().start().await;
    relay.notify(&firing()).await;
    let path = format!("/incidents/{}", code(&relay).await);
    let page = relay.page(&path).await;
    send(&relay, &form(&page), "who=Ann&note=disk+is+%3Cscript%3Efull").await;
    let page = relay.page(&path).await;
    assert!(page.contains("Ann: disk is &lt;script&gt;full"), "{page}");
    assert_eq!(relay.incidents().await[0]["state"], "open");
    assert_eq!(relay.metric("relay_acknowledge_seconds_count").await, None);
}

#[tokio::test]
async fn a_forged_or_foreign_permission_is_none() {
    let relay = Setup::new().start().await;
    relay.notify(&firing()).await;
    let token = form(&relay.page(&format!("/incidents/{}", code(&relay).await)).await);
    for forged in ["/act/x", "/act/AAAA.99999999999999.0.x", &token.replace('.', "-"), &format!("{token}x")] {
        assert_eq!(send(&relay, forged, "who=Eve").await.status().as_u16(), 404, "{forged}");
    }
    assert_eq!(relay.get(&token).await.status().as_u16(), 200);
    assert_eq!(relay.incidents().await[0]["state"], "open");
}

#[tokio::test]
async fn from_elsewhere_one_has_to_sign_in() {
    let mut setup = Setup::new();
    setup.set("DEPLOYMENT_ENVIRONMENT", "production");
    setup.secret("RELAY_SIGN_IN_TOKEN_FILE", "a-sign-in-token");
    let relay = setup.start().await;
    relay.notify(&firing()).await;
    for path in ["/", "/incidents/X", "/runbooks", "/events", "/fragments/incidents"] {
        let answer = relay.get(path).await;
        assert_eq!(
            (answer.status().as_u16(), answer.headers()["location"].to_str().unwrap()),
            (303, "/sign-in"),
            "{path}"
        );
    }
    assert_eq!(relay.get("/v1/incidents").await.status().as_u16(), 401);
    let bearer =
        client().get(format!("{}/v1/incidents", relay.public)).bearer_auth("a-sign-in-token").send().await.unwrap();
    assert_eq!(bearer.status().as_u16(), 200);
    let wrong = send(&relay, "/sign-in", "token=a-guess").await;
    assert!(wrong.headers().get(SET_COOKIE).is_none() && wrong.text().await.unwrap().contains("not the token"));
    let right = send(&relay, "/sign-in", "token=a-sign-in-token").await;
    let cookie = right.headers()[SET_COOKIE].to_str().unwrap().to_owned();
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict") && !cookie.contains("a-sign-in"),
        "{cookie}"
    );
    let session = cookie.split(';').next().unwrap();
    let page = client().get(&relay.public).header(COOKIE, session).send().await.unwrap();
    assert!(page.status().as_u16() == 200 && page.text().await.unwrap().contains("orders has lost its database"));
    assert!(!relay.output().contains("a-sign-in-token") && !relay.output().contains("a-guess"));
}

#[tokio::test]
async fn without_a_token_the_inbox_stays_shut_and_says_so() {
    let mut setup = Setup::new();
    setup.set("DEPLOYMENT_ENVIRONMENT", "production");
    let relay = setup.start().await;
    assert_eq!(relay.get("/").await.status().as_u16(), 303);
    assert!(relay.page("/sign-in").await.contains("Nobody can sign in"));
    until("the warning", async || relay.output().contains("RELAY_SIGN_IN_TOKEN_FILE is needed").then_some(())).await;
}

#[tokio::test]
async fn the_list_can_be_narrowed() {
    let relay = Setup::new().start().await;
    relay.notify(&firing()).await;
    for (query, found) in
        [("q=orders+critical", true), ("q=payments", false), ("failure_type=db_down", true), ("state=resolved", false)]
    {
        let page = relay.page(&format!("/fragments/incidents?{query}")).await;
        assert_eq!(page.contains("orders has lost its database"), found, "{query}");
    }
}
