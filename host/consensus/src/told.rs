//! Who waits for what openraft was handed.

use openraft::raft::responder::Responder;

use crate::types::Group;

/// Who is told what became of something that was handed to openraft.
pub(crate) struct Told<T>(Option<Box<dyn FnOnce(Option<T>) + Send>>);

impl<T> Told<T> {
    pub(crate) fn new(tell: impl FnOnce(Option<T>) + Send + 'static) -> Self {
        Self(Some(Box::new(tell)))
    }
}

impl<T: Send + 'static> Responder<Group, T> for Told<T> {
    fn on_complete(mut self, result: T) {
        if let Some(tell) = self.0.take() {
            tell(Some(result));
        }
    }
}

/// A group that stops forgets what it was handed.
impl<T> Drop for Told<T> {
    fn drop(&mut self) {
        if let Some(tell) = self.0.take() {
            tell(None);
        }
    }
}
