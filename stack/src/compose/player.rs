//! Chat for containers, played by this process: the relay writes to this machine's address in the project's network.

use anyhow::Context;

use super::{
    docker::{Project, docker},
    overrides::Files,
};
use crate::chat::{self, Chat};

/// What the container `init` writes into secrets, of which the first two are played.
pub(super) const CHATS: [&str; 6] = [
    "SLACK_WEBHOOK_URL",
    "ESCALATION_URL",
    "MATTERMOST_WEBHOOK_URL",
    "ROCKETCHAT_WEBHOOK_URL",
    "DISCORD_WEBHOOK_URL",
    "WEBHOOK_URL",
];

/// Chat, as long as this lives.
#[derive(Debug)]
pub(super) struct Player {
    chat: Chat,
}

impl Player {
    /// None when the stack writes to a real chat.
    pub(super) async fn start(project: &Project, files: Option<&Files>) -> anyhow::Result<Option<Self>> {
        let init = project.container("init").await?;
        if CHATS.iter().any(|name| *name != "ESCALATION_URL" && !init.variable(name).is_empty()) {
            return Ok(None);
        }
        let relay = project.container("relay").await?;
        let chat = chat::start((relay.gateway()?, 0).into()).await?;
        let slack = format!("SLACK_WEBHOOK_URL={}/slack/player", chat.url());
        let escalation = format!("ESCALATION_URL={}/escalation", chat.url());
        let write = ["run", "--rm", "--no-deps", "--env", &slack, "--env", &escalation, "init"];
        project.compose(&write).await.context("the address of chat could not be written")?;
        if let Some(files) = files {
            files.play(&chat.url())?;
        }
        docker(&["restart", &relay.id]).await?;
        Ok(Some(Self { chat }))
    }

    pub(super) fn url(&self) -> String {
        self.chat.url()
    }

    /// The relay forgets this chat: what `up` has written before is written again.
    pub(super) async fn end(self, project: &Project) -> anyhow::Result<()> {
        docker(&["start", "--attach", &project.container("init").await?.id]).await?;
        docker(&["restart", &project.container("relay").await?.id]).await?;
        self.chat.stop().await;
        Ok(())
    }
}
