//! What must show the fault while it lasts, besides the message: dashboards, lines, the runbook's first command.

use std::time::Instant;

use super::{episode::Episode, observer::Alert};
use crate::timeline::Event;

impl Episode<'_> {
    /// The runbook's first command shows it.
    pub(super) async fn first_look(&mut self) {
        match self.first_look.shown().await {
            Ok(()) => self.timeline.note(Instant::now(), Event::Seen, "the runbook's first command shows it"),
            Err(problem) => self.require(false, || problem),
        }
    }

    /// Its other commands, where they are about processes, run as they are written. Where the alert knows of lines, those
    /// that look for such lines find them.
    pub(super) async fn further_looks(&mut self, alert: Option<&Alert>) {
        let Ok(folder) = self.scene.stack().folder() else { return };
        let database_url = &self.observer.at.database_url;
        let lines = alert.filter(|alert| !alert.annotation("query").is_empty()).map(|_| self.fault.failure_type);
        let complaints = self.first_look.complaints(folder, database_url, lines).await;
        self.require_all(complaints);
    }

    /// The dashboards show it, where they can.
    pub(super) async fn dashboards(&mut self, alert: Option<&Alert>) {
        if !self.fault.drawn {
            return self.timeline.note(Instant::now(), Event::Seen, "Prometheus is away: no dashboard can be drawn");
        }
        match super::dashboards::judge(&self.observer, self.fault.failure_type, alert, self.zero_wall).await {
            Ok(wrong) if wrong.is_empty() => self.timeline.note(Instant::now(), Event::Seen, "the dashboards show it"),
            Ok(wrong) => self.require_all(wrong),
            Err(error) => self.require(false, || format!("the dashboards could not be asked: {error:#}")),
        }
    }

    /// The alert's query shows lines of it.
    pub(super) async fn lines(&mut self, alert: &Alert) {
        let link = self.link("/logs").or_else(|| self.link("/explore?"));
        match super::lines::judge(&self.observer, alert, link.as_deref(), self.zero_wall).await {
            None => {}
            Some(Ok(found)) => {
                self.timeline.note(
                    Instant::now(),
                    Event::Seen,
                    &format!("the alert's query leads to {found} lines of it"),
                );
            }
            Some(Err(problem)) => {
                self.require(false, || format!("the alert's query {problem}: {}", alert.annotation("query")));
            }
        }
    }

    /// The first link of the message that has `part` in it.
    pub(super) fn link(&self, part: &str) -> Option<String> {
        self.told.as_ref()?.links().into_iter().find(|link| link.contains(part))
    }
}
