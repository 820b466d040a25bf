//! What can be asked, a file a subject.

pub(super) mod calls;
pub(super) mod me;
pub(super) mod reports;
pub(super) mod labels;
pub(super) mod cases;
pub(super) mod spread;
pub(super) mod stream;
