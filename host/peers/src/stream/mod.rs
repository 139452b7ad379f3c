//! Frames on a wire: reading them, and writing many at once.

mod batch;
mod meter;
mod reader;
mod writer;

pub(crate) use meter::Meter;
pub(crate) use reader::FrameReader;
pub(crate) use writer::FrameWriter;
