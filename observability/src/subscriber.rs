//! tracing's registry with our layer on it, in which the request that a thread works on counts as the
//! current span. It becomes one when somebody asks, usually to take it along to another task.

use std::cell::Cell;
use std::sync::Arc;

use tracing::field::FieldSet;
use tracing::metadata::Kind;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Span, Subscriber, dispatcher};
use tracing_core::callsite::{Callsite, Identifier};
use tracing_core::span::Current;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Layered, SubscriberExt as _};
use tracing_subscriber::registry::{LookupSpan as _, Registry};

use crate::context::{ChildId, Request, at_work};
use crate::layer::{Core, TelemetryLayer};

/// Builds the subscriber. Installing it, for the process or for a thread, is up to the caller.
pub(crate) fn subscriber(core: Arc<Core>) -> Requests {
    let layer = TelemetryLayer::new(Arc::clone(&core));
    Requests { core, spans: Registry::default().with(layer) }
}

/// Reads the telemetry of this thread: the process's, or a test's own.
pub(crate) fn current<R>(read: impl FnOnce(&Arc<Core>) -> R) -> Option<R> {
    dispatcher::get_default(|dispatch| dispatch.downcast_ref().map(|requests: &Requests| Arc::clone(&requests.core)))
        .map(|core| read(&core))
}

/// The request of the innermost span, and that span's own id where it is below the root.
pub(crate) fn innermost() -> Option<(Arc<Request>, Option<ChildId>)> {
    dispatcher::get_default(|dispatch| {
        let spans = &dispatch.downcast_ref::<Requests>()?.spans;
        let span = spans.span(spans.current_span().id()?)?;
        let extensions = span.extensions();
        Some((extensions.get().map(Arc::clone)?, extensions.get().copied()))
    })
}

thread_local! {
    /// The request whose root span is about to be made.
    pub(crate) static NEXT_REQUEST: Cell<Option<Arc<Request>>> = const { Cell::new(None) };
}

/// The root span of a request or a job.
pub(crate) fn root_span(request: Arc<Request>) -> Span {
    NEXT_REQUEST.set(Some(request));
    let span = Span::new_root(&ROOT, &ROOT.fields().value_set(&[]));
    NEXT_REQUEST.set(None);
    span
}

/// Lets go of the root span of a request that has ended. Tasks that hold it keep it.
pub(crate) fn release(request: &Request) {
    let Some(id) = request.span.get() else { return };
    dispatcher::get_default(|dispatch| {
        // A test may have replaced the subscriber since.
        let held = dispatch.downcast_ref().and_then(|requests: &Requests| requests.spans.span(id));
        let ours = |span: &Arc<Request>| std::ptr::eq(Arc::as_ptr(span), request);
        if held.is_some_and(|span| span.extensions().get().is_some_and(ours)) {
            dispatch.try_close(id.clone());
        }
    });
}

struct RootCallsite;

static ROOT: Metadata<'static> = Metadata::new(
    "request",
    "observability::request",
    Level::ERROR,
    None,
    None,
    None,
    FieldSet::new(&[], Identifier(&RootCallsite)),
    Kind::SPAN,
);

impl Callsite for RootCallsite {
    // Root spans carry the context, so no filter is asked about them.
    fn set_interest(&self, _: Interest) {}

    fn metadata(&self) -> &Metadata<'_> {
        &ROOT
    }
}

pub(crate) struct Requests {
    core: Arc<Core>,
    spans: Layered<TelemetryLayer, Registry>,
}

impl Subscriber for Requests {
    fn current_span(&self) -> Current {
        let innermost = self.spans.current_span();
        let request = if innermost.id().is_none() { at_work() } else { None };
        let Some(request) = request else { return innermost };
        let id = request.span.get_or_init(|| {
            NEXT_REQUEST.set(Some(Arc::clone(&request)));
            self.spans.new_span(&Attributes::new_root(&ROOT, &ROOT.fields().value_set(&[])))
        });
        Current::new(id.clone(), &ROOT)
    }

    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        self.spans.register_callsite(metadata)
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.spans.enabled(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        self.spans.max_level_hint()
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        self.spans.new_span(attributes)
    }

    fn record(&self, id: &Id, values: &Record<'_>) {
        self.spans.record(id, values);
    }

    fn record_follows_from(&self, id: &Id, follows: &Id) {
        self.spans.record_follows_from(id, follows);
    }

    fn event(&self, event: &Event<'_>) {
        self.spans.event(event);
    }

    fn enter(&self, id: &Id) {
        self.spans.enter(id);
    }

    fn exit(&self, id: &Id) {
        self.spans.exit(id);
    }

    fn clone_span(&self, id: &Id) -> Id {
        self.spans.clone_span(id)
    }

    fn try_close(&self, id: Id) -> bool {
        self.spans.try_close(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::work_on;
    use crate::testing::Capture;
    use crate::traces::new_trace_id;

    #[test]
    fn a_span_that_was_asked_for_carries_the_request_away_and_is_let_go_with_it() {
        let capture = Capture::start();
        let request = Arc::new(Request::new(new_trace_id(), None, None, true));
        let taken = {
            let _at_work = work_on(&request);
            assert_eq!(Span::current().id(), Span::current().id());
            Span::current()
        };
        assert!(Span::current().is_none());
        release(&request);
        taken.in_scope(|| tracing::info!("elsewhere"));
        assert_eq!(capture.lines()[0]["trace_id"], request.trace_hex.as_str());
        drop(taken);
        assert_eq!(Arc::strong_count(&request), 1);
    }
}
