//! The answer's body, which holds the end of the request until its last chunk has left.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_web::body::{BodySize, MessageBody};
use actix_web::web::Bytes;
use pin_project_lite::pin_project;

use super::ending::Ending;

pin_project! {
    /// A body under observation. Dropped before its end, the request counts as cancelled.
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
    type Error = B::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let this = self.project();
        let size = this.body.size();
        let chunk = match this.ending.as_ref() {
            // Only a stream runs code that may want the request's context.
            Some(ending) if size == BodySize::Stream => ready!(ending.within(|| this.body.poll_next(cx))),
            _ => ready!(this.body.poll_next(cx)),
        };
        let last = match &chunk {
            Some(Ok(bytes)) => {
                *this.sent += u64::try_from(bytes.len()).unwrap_or_default();
                matches!(size, BodySize::Sized(total) if *this.sent >= total)
            }
            // A broken stream is dropped with its ending, and so counts as cancelled.
            Some(Err(_)) => false,
            None => true,
        };
        if last && let Some(mut ending) = this.ending.take() {
            ending.finish();
        }
        Poll::Ready(chunk)
    }

    fn try_into_bytes(self) -> Result<Bytes, Self> {
        let Self { body, ending, sent } = self;
        match body.try_into_bytes() {
            Ok(bytes) => {
                if let Some(mut ending) = ending {
                    ending.finish();
                }
                Ok(bytes)
            }
            Err(body) => Err(Self { body, ending, sent }),
        }
    }
}
