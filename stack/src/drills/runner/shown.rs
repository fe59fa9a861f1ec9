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

    /// The dashboards show it.
    pub(super) async fn dashboards(&mut self, alert: &Alert) {
        match super::dashboards::judge(&self.observer, self.fault.failure_type, alert, self.zero_wall).await {
            Ok(wrong) if wrong.is_empty() => self.timeline.note(Instant::now(), Event::Seen, "the dashboards show it"),
            Ok(wrong) => self.require_all(wrong),
            Err(error) => self.require(false, || format!("the dashboards could not be asked: {error:#}")),
        }
    }

    /// The alert's query shows lines of it.
    pub(super) async fn lines(&mut self, alert: &Alert) {
        match super::lines::judge(&self.observer, alert, self.link("/incidents/").as_deref(), self.zero_wall).await {
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
