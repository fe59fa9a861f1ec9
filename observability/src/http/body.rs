//! The answer's body, which holds the end of the request until its last chunk has left.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_web::body::{BodySize, MessageBody};
use actix_web::web::Bytes;
use pin_project_lite::pin_project;

use super::ending::{Ending, Trouble};
use super::guarded;

const PANICKED: &str = "the answer's body panicked";

pin_project! {
    /// A body under observation. Dropped before its end, the request counts as cancelled; broken or panicking, as failed.
    pub struct Observed<B> {
        #[pin]
        body: B,
        ending: Option<Box<Ending>>,
        sent: u64,
    }
}

impl<B: MessageBody> Observed<B> {
    pub(super) fn new(body: B, mut ending: Box<Ending>) -> Self {
        // actix does not poll a body that is known to be empty.
        let ending = match body.size() {
            BodySize::None | BodySize::Sized(0) => {
                ending.finish();
                None
            }
            BodySize::Sized(_) | BodySize::Stream => Some(ending),
        };
        Self { body, ending, sent: 0 }
    }
}

impl<B: MessageBody> MessageBody for Observed<B> {
    type Error = Box<dyn Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let this = self.project();
        let size = this.body.size();
        let polled = match this.ending.as_ref() {
            Some(ending) => guarded(ending, || this.body.poll_next(cx)),
            None => Some(this.body.poll_next(cx)),
        };
        let Some(polled) = polled else {
            break_off(this.ending, Trouble::panic(PANICKED));
            return Poll::Ready(Some(Err(PANICKED.into())));
        };
        Poll::Ready(match ready!(polled) {
            Some(Ok(bytes)) => {
                *this.sent += u64::try_from(bytes.len()).unwrap_or_default();
                if matches!(size, BodySize::Sized(total) if *this.sent >= total) {
                    finish(this.ending);
                }
                Some(Ok(bytes))
            }
            Some(Err(error)) => {
                let error = error.into();
                break_off(this.ending, Trouble::unnamed(format!("the answer's body broke off: {error}")));
                Some(Err(error))
            }
            None => {
                finish(this.ending);
                None
            }
        })
    }

    fn try_into_bytes(self) -> Result<Bytes, Self> {
        let Self { body, mut ending, sent } = self;
        match body.try_into_bytes() {
            Ok(bytes) => {
                finish(&mut ending);
                Ok(bytes)
            }
            Err(body) => Err(Self { body, ending, sent }),
        }
    }
}

fn finish(ending: &mut Option<Box<Ending>>) {
    if let Some(mut ending) = ending.take() {
        ending.finish();
    }
}

fn break_off(ending: &mut Option<Box<Ending>>, trouble: Trouble) {
    if let Some(mut ending) = ending.take() {
        ending.break_off(trouble);
    }
}
