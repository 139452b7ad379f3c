//! Answers on their way out.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use super::activity::UnderWay;

/// The most bytes that are handed over to an HTTP/2 stream at once. What is
/// handed over is kept by the connection until the client's window lets it out,
/// so a client that keeps its windows shut must not get an answer whole.
const PIECE_BYTES_MAX: usize = 64 << 10;

/// An answer's body, which keeps its request under way until all of it has been
/// handed over, and notes since when the client has taken nothing.
pub struct Answer<B> {
    body: B,
    /// What is left of the body's last piece.
    rest: Bytes,
    under_way: UnderWay,
}

impl<B> Answer<B> {
    pub fn new(body: B, mut under_way: UnderWay) -> Self {
        under_way.handed_over();
        Self { body, rest: Bytes::new(), under_way }
    }

    /// The next piece of what is left; the whole of it but for HTTP/2.
    fn piece(&mut self) -> Bytes {
        let all = self.rest.len();
        let size = if self.under_way.is_http2() { all.min(PIECE_BYTES_MAX) } else { all };
        self.rest.split_to(size)
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Answer<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.get_mut();
        // Whoever asks for more has taken what there was.
        this.under_way.taken();
        if this.rest.is_empty() {
            match ready!(Pin::new(&mut this.body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => this.rest = data,
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
                end => return Poll::Ready(end),
            }
        }
        this.under_way.handed_over();
        Poll::Ready(Some(Ok(Frame::data(this.piece()))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = u64::try_from(self.rest.len()).unwrap_or(u64::MAX);
        let body = self.body.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(body.lower().saturating_add(rest));
        if let Some(upper) = body.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, Full};

    use super::*;
    use crate::server::activity::Activity;

    async fn pieces(http2: bool) -> Vec<usize> {
        let activity = Activity::new();
        let body = Full::new(Bytes::from(vec![0; 2 * PIECE_BYTES_MAX + 1]));
        let mut answer = Answer::new(body, activity.begin(http2));
        let mut pieces = Vec::new();
        let mut left = 2 * PIECE_BYTES_MAX as u64 + 1;
        while let Some(frame) = answer.frame().await {
            let piece = frame.expect("a piece").into_data().expect("data");
            left -= piece.len() as u64;
            assert_eq!(answer.size_hint().exact(), Some(left));
            assert_eq!(answer.is_end_stream(), left == 0);
            pieces.push(piece.len());
        }
        pieces
    }

    #[tokio::test]
    async fn an_answer_is_whole_but_for_http2() {
        assert_eq!(pieces(false).await, [2 * PIECE_BYTES_MAX + 1]);
        assert_eq!(pieces(true).await, [PIECE_BYTES_MAX, PIECE_BYTES_MAX, 1]);
    }
}
