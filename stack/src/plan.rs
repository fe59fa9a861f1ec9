//! Which components run, from which programs, with which configuration.

use std::{ffi::OsString, fs, path::PathBuf};

use anyhow::Context;
use tokio::try_join;

use crate::{
    binaries,
    component::{CHATS, Component, alertmanager, payments_stub, postgres, prometheus, relay, service},
    config::{Settings, repository},
    extras::Extras,
    folder::Folder,
    handle::{ChatChoice, Endpoints, Options},
    identity::Identity,
    policy,
    ports::{Ports, Role},
    programs::{self, Found, Program},
    render::Addresses,
};

/// The programs that are not built here.
#[derive(Debug)]
pub(crate) struct Programs {
    pub(crate) postgres: Found,
    pub(crate) prometheus: Found,
    pub(crate) alertmanager: Found,
}

impl Programs {
    pub(crate) async fn find(settings: &Settings, say: &(dyn Fn(String) + Sync)) -> anyhow::Result<Self> {
        let (postgres, prometheus, alertmanager) = try_join!(
            programs::find(settings, Program::Postgres, say),
            programs::find(settings, Program::Prometheus, say),
            programs::find(settings, Program::Alertmanager, say),
        )?;
        Ok(Self { postgres, prometheus, alertmanager })
    }
}

/// Everything that a supervisor needs, and what others want to know of it.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) components: Vec<Component>,
    pub(crate) endpoints: Endpoints,
    /// Whether the runner plays chat.
    pub(crate) plays_chat: bool,
    /// Whether an alert that the relay does not deliver reaches somebody.
    pub(crate) escalates: bool,
}

/// Where the components of one stack live.
pub(crate) struct Site<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) options: &'a Options,
    pub(crate) folder: &'a Folder,
    pub(crate) ports: &'a Ports,
    pub(crate) programs: &'a Programs,
    pub(crate) extras: &'a Extras,
}

impl Site<'_> {
    /// Renders the configuration, makes the secrets, and says what to start.
    pub(crate) async fn plan(&self) -> anyhow::Result<Plan> {
        let plays_chat = self.options.chat == ChatChoice::Player || !self.settings.has_chat();
        let escalation_url = self.write_secrets(plays_chat)?;
        self.render()?;
        self.write_policy()?;
        self.folder.write_deployment("", &binaries::revision().await)?;
        let identity = Identity::unprivileged().await?;
        let (folder, ports) = (self.folder, self.ports);
        let collected = self.extras.has("otel-collector");
        let lines = collected.then(|| folder.lines("postgres")).transpose()?;
        let database = postgres(&self.programs.postgres, identity, folder, ports, true, lines.as_deref())?;
        let cluster = database.cluster.as_ref();
        let database_url = cluster.map(|cluster| cluster.administrator_url(ports)).unwrap_or_default();
        if let Some(cluster) = cluster {
            folder.write_secret("database_url", &cluster.service_url(ports))?;
            folder.write_secret("database_migrate_url", &cluster.owner_url(ports))?;
        }
        let built = match &self.options.binaries {
            Some(folder) => folder.clone(),
            None => binaries::folder()?,
        };
        let more = self.environment()?;
        let for_people: Vec<_> = self.links().into_iter().chain(more.iter().cloned()).collect();
        let service_program = binaries::program(&built, "service")?;
        let mut components = vec![
            database,
            relay(
                &binaries::program(&built, "relay")?,
                folder,
                ports,
                self.unset(),
                &self.relay_environment(plays_chat, &for_people),
            )?,
            service(&service_program, folder, ports, &for_people),
            payments_stub(&service_program, folder, ports, &more),
            alertmanager(&self.programs.alertmanager, folder, ports)?,
            prometheus(&self.programs.prometheus.path, folder, ports)?,
        ];
        components.extend(self.extras.components(folder, ports, &self.options.env)?);
        Ok(Plan {
            components,
            endpoints: self.endpoints(plays_chat, database_url),
            plays_chat,
            escalates: !escalation_url.is_empty(),
        })
    }

    /// The same tree as in the repository, because the files name each other by relative paths.
    fn render(&self) -> anyhow::Result<()> {
        let config = self.folder.config();
        let _ = fs::remove_dir_all(&config);
        let addresses = Addresses::new(self.ports, self.options.shorten);
        for folder in ["alerts", "prometheus", "postgres", "otel-collector", "loki", "jaeger"] {
            addresses.render(&repository().join(folder), &config.join(folder), &|part| self.extras.has(part))?;
        }
        std::os::unix::fs::symlink("../../secrets", config.join("alerts/secrets"))?;
        Ok(())
    }

    /// The relay's, where chat is played: with a hook that would roll a deployment back.
    fn policy(&self) -> PathBuf {
        self.folder.config().join("policy.toml")
    }

    fn write_policy(&self) -> anyhow::Result<()> {
        let chat = self.ports.url(Role::Chat);
        let policy = policy::played(&chat, self.options.second_chat);
        fs::write(self.policy(), policy).with_context(|| format!("{} cannot be written", self.policy().display()))
    }

    fn write_secrets(&self, plays_chat: bool) -> anyhow::Result<String> {
        self.folder.random_secret("relay_token")?;
        let chat = self.ports.url(Role::Chat);
        let escalation_url = match (&self.options.escalation_url, self.options.chat) {
            (Some(url), _) => url.clone(),
            (None, ChatChoice::Player) => format!("{chat}/escalation"),
            (None, ChatChoice::Configured) => self.settings.escalation_url().unwrap_or_default(),
        };
        self.folder.write_secret("escalation_url", &escalation_url)?;
        if plays_chat {
            let token = self.folder.random_secret("chat_token")?;
            self.folder.write_secret("slack_webhook_url", &format!("{chat}/slack/{token}"))?;
        }
        Ok(escalation_url)
    }

    /// A stack of a test or a drill must not write to anybody's real chat.
    fn unset(&self) -> Vec<&'static str> {
        match self.options.chat {
            ChatChoice::Player => CHATS.to_vec(),
            ChatChoice::Configured => Vec::new(),
        }
    }

    /// What service and relay are told alike.
    fn environment(&self) -> anyhow::Result<Vec<(String, OsString)>> {
        let mut set = Vec::new();
        if self.extras.has("otel-collector") {
            set.push(("LOG_DIR".to_owned(), self.folder.lines("programs")?.into()));
            set.push(("OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(), self.ports.url(Role::CollectorOtlp).into()));
        }
        let verbosity = self.options.verbosity.iter().map(|level| ("RUST_LOG".to_owned(), level.into()));
        let more = self.options.env.iter().map(|(name, value)| (name.clone(), value.into()));
        set.extend(verbosity.chain(more));
        Ok(set)
    }

    fn relay_environment(&self, plays_chat: bool, more: &[(String, OsString)]) -> Vec<(String, OsString)> {
        let mut set = Vec::new();
        if self.extras.has(Role::Loki.host()) {
            set.push(("LOKI_URL".to_owned(), self.ports.url(Role::Loki).into()));
        }
        if plays_chat {
            let file = self.folder.path().join("secrets/slack_webhook_url");
            set.push(("SLACK_WEBHOOK_URL_FILE".to_owned(), file.into_os_string()));
            if self.options.chat == ChatChoice::Player || !self.settings.has_policy() {
                set.push(("RELAY_POLICY".to_owned(), self.policy().into_os_string()));
            }
        }
        set.extend_from_slice(more);
        set
    }

    /// Where people find the parts: in messages, and on the service's first page.
    fn links(&self) -> Vec<(String, OsString)> {
        let mut set = Vec::new();
        for (role, name) in [
            (Role::Relay, "PUBLIC_URL_RELAY"),
            (Role::Prometheus, "PUBLIC_URL_PROMETHEUS"),
            (Role::Jaeger, "PUBLIC_URL_JAEGER"),
        ] {
            let own = (role != Role::Jaeger || self.extras.has(role.host())).then(|| self.ports.url(role));
            let configured = self.options.chat == ChatChoice::Configured;
            let chosen = configured.then(|| self.settings.public_url(role)).flatten();
            set.extend(chosen.or(own).map(|url| (name.to_owned(), url.into())));
        }
        set
    }

    fn endpoints(&self, plays_chat: bool, database_url: String) -> Endpoints {
        let url = |role| self.ports.url(role);
        let optional = |role: Role| if self.extras.has(role.host()) { url(role) } else { String::new() };
        Endpoints {
            service: url(Role::Service),
            service_admin: url(Role::ServiceAdmin),
            relay: url(Role::Relay),
            relay_admin: url(Role::RelayAdmin),
            prometheus: url(Role::Prometheus),
            alertmanager: url(Role::Alertmanager),
            chat: if plays_chat { url(Role::Chat) } else { String::new() },
            database_url,
            payments: url(Role::PaymentsStub),
            loki: optional(Role::Loki),
            jaeger: optional(Role::Jaeger),
        }
    }
}
