//! What is remembered of past calls: decayed counters and dialogs, in bounded memory.
