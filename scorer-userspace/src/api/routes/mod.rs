//! What can be asked, a file a subject.

pub(super) mod audit;
pub(super) mod callers;
pub(super) mod calls;
pub(super) mod cases;
pub(super) mod consortium;
pub(super) mod gate;
pub(super) mod labels;
pub(super) mod lists;
pub(super) mod me;
pub(super) mod models;
pub(super) mod policy;
pub(super) mod profiles;
pub(super) mod reports;
pub(super) mod spread;
pub(super) mod stream;
pub(super) mod system;
pub(super) mod trends;
