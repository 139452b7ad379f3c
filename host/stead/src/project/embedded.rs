//! The template and the SDK's sources as they were when the binary was built.

include!(concat!(env!("OUT_DIR"), "/embedded.rs"));
