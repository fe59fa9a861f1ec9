//! A local server that answers as chat platforms do, on good days and bad ones.
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::support::until;

/// What a request gets.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// Status, extra header lines, body.
    Say(u16, &'static str, &'static str),
    /// The same, after a while.
    Slow(Duration, &'static str),
    /// The connection stays open and nothing comes.
    Hang,
    /// The connection is closed without an answer.
    Cut,
}

pub(crate) const OK: Reply = Reply::Say(200, "", "ok");
pub(crate) const DOWN: Reply = Reply::Say(503, "", "unavailable");

#[derive(Clone, Debug)]
pub(crate) struct Post {
    pub(crate) at: Instant,
    pub(crate) path: String,
    pub(crate) body: Value,
    /// Head and body as they came.
    pub(crate) raw: String,
    pub(crate) accepted: bool,
}

#[derive(Clone)]
pub(crate) struct Chat {
    pub(crate) url: String,
    posts: Arc<Mutex<Vec<Post>>>,
    /// The first replies, then the last one for ever.
    replies: Arc<Mutex<VecDeque<Reply>>>,
}

impl Chat {
    pub(crate) async fn start(replies: &[Reply]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let chat = Self {
            url: format!("http://{}/services/T0001/SECRETPATH", listener.local_addr().unwrap()),
            posts: Arc::default(),
            replies: Arc::new(Mutex::new(replies.iter().cloned().collect())),
        };
        let server = chat.clone();
        observability::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                observability::spawn(server.clone().talk(stream));
            }
        });
        chat
    }

    pub(crate) fn reply(&self, reply: Reply) {
        *self.replies.lock().unwrap() = [reply].into();
    }

    pub(crate) fn posts(&self) -> Vec<Post> {
        self.posts.lock().unwrap().clone()
    }

    /// Headlines of the messages that were accepted.
    pub(crate) fn messages(&self) -> Vec<String> {
        self.posts()
            .iter()
            .filter(|post| post.accepted)
            .map(|post| post.body["text"].as_str().or(post.body["content"].as_str()).unwrap().to_owned())
            .collect()
    }

    pub(crate) async fn attempts(&self, count: usize) -> Vec<Post> {
        until(&format!("{count} attempts"), async || (self.posts().len() >= count).then(|| self.posts())).await
    }

    pub(crate) async fn accepted(&self, count: usize) -> Vec<String> {
        until(&format!("{count} accepted messages"), async || (self.messages().len() >= count).then(|| self.messages()))
            .await
    }

    async fn talk(self, mut stream: TcpStream) {
        while let Some((path, body, raw)) = read(&mut stream).await {
            let reply = {
                let mut replies = self.replies.lock().unwrap();
                if replies.len() > 1 { replies.pop_front() } else { replies.front().cloned() }
            };
            let reply = reply.unwrap_or(OK);
            let number = {
                let mut posts = self.posts.lock().unwrap();
                posts.push(Post { at: Instant::now(), path, body, raw, accepted: false });
                posts.len() - 1
            };
            match reply {
                Reply::Slow(wait, body) => {
                    tokio::time::sleep(wait).await;
                    if !self.say(&mut stream, number, 200, "", body).await {
                        return;
                    }
                }
                Reply::Say(status, headers, body) => {
                    if !self.say(&mut stream, number, status, headers, body).await {
                        return;
                    }
                }
                Reply::Hang => {
                    drop(stream.read(&mut [0]).await);
                    return;
                }
                Reply::Cut => return,
            }
        }
    }
}

impl Chat {
    /// Says whether the connection is still there.
    async fn say(&self, stream: &mut TcpStream, number: usize, status: u16, headers: &str, body: &str) -> bool {
        let head = format!("HTTP/1.1 {status} Status\r\n{headers}content-length: {}\r\n\r\n{body}", body.len());
        // Marked first: who reads the answer may be killed by who sees the mark.
        let accepted = status == 200 && matches!(body, "ok" | r#"{"success":true}"# | r#"{"id":"1"}"#);
        self.posts.lock().unwrap()[number].accepted = accepted;
        stream.write_all(head.as_bytes()).await.is_ok()
    }
}

/// The path, the JSON body and the whole of the next request.
async fn read(stream: &mut TcpStream) -> Option<(String, Value, String)> {
    let mut bytes = Vec::new();
    loop {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
        let Some(end) = bytes.windows(4).position(|part| part == b"\r\n\r\n") else { continue };
        let (head, body) = (String::from_utf8_lossy(&bytes[..end]), &bytes[end + 4..]);
        let length =
            head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
        if body.len() >= length.unwrap_or(0) {
            let path = head.split(' ').nth(1)?.to_owned();
            let raw = String::from_utf8_lossy(&bytes).into_owned();
            return Some((path, serde_json::from_slice(body).unwrap_or(Value::Null), raw));
        }
    }
}
