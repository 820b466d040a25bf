//! What became of requests.

use crate::verdict::deliver::counts;

counts! {
    /// Counters of the API.
    ApiStats {
        /// Answered, 2xx and 3xx.
        answered,
        /// Makes no sense or is not there, 4xx but those below.
        refused,
        /// Not known who asks, 401.
        unknown,
        /// Not theirs to ask, 403.
        forbidden,
        /// Too many, 429.
        limited,
        /// Ours, 500.
        failed,
        /// Too busy, or a question that takes too much, 503.
        busy,
        /// Connections closed at once since there are too many.
        connections_refused,
        /// Connections whose TLS handshake failed.
        handshakes_failed,
        /// Events that streams lost since their readers were too slow.
        stream_lost,
    }
}
