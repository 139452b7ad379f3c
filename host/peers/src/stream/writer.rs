//! Writes all that there is to say, at once.

use std::io;

use bytes::Buf;
use tokio::io::AsyncWriteExt;

use super::{batch::Batch, meter::Meter};
use crate::{WriteHalf, wire::frame::Frame};

pub(crate) struct FrameWriter<'a> {
    write: WriteHalf,
    batch: Batch,
    meter: &'a Meter,
}

impl<'a> FrameWriter<'a> {
    pub(crate) fn new(write: WriteHalf, meter: &'a Meter) -> Self {
        let vectored = write.is_write_vectored();
        Self { write, batch: Batch::new(vectored), meter }
    }

    /// Writes these frames and returns when the wire has taken them.
    pub(crate) async fn write(&mut self, frames: &mut Vec<Frame>) -> io::Result<()> {
        frames.drain(..).for_each(|frame| self.batch.push(frame));
        self.batch.seal();
        self.meter.writing(true);
        while self.batch.has_remaining() {
            let written = self.write.write_buf(&mut self.batch).await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.meter.written(written);
        }
        self.write.flush().await?;
        self.meter.writing(false);
        Ok(())
    }

    /// Says that nothing more comes.
    pub(crate) async fn shutdown(&mut self) -> io::Result<()> {
        self.write.shutdown().await
    }
}
