//! How much of each host's facts a history has counted. It is part of a snapshot, so
//! that a restart counts nothing twice and leaves nothing out.

/// Hosts of a cluster at most.
pub const HOSTS: usize = 4_096;

/// How far one host's facts are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// Which host: a hash of its name.
    pub host: u64,
    /// Its run: a later one has a higher number.
    pub epoch: u64,
    /// Number of the fact that comes next.
    pub next: u64,
}

/// Of all hosts, one's own among them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    hosts: Vec<Mark>,
    /// Number of the last message of the stream that was counted; 0 before the first.
    pub stream: u64,
}

impl Marks {
    /// None yet, with room for all.
    pub(super) fn new() -> Self {
        Self { hosts: Vec::with_capacity(HOSTS), stream: 0 }
    }

    /// How far a host's are counted; epoch 0 where none is.
    pub fn of(&self, host: u64) -> Mark {
        let known = self.hosts.iter().find(|mark| mark.host == host);
        known.copied().unwrap_or(Mark { host, epoch: 0, next: 0 })
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Mark> {
        self.hosts.iter()
    }

    /// Facts of a batch that were counted before: the batch is of a host's run, and its
    /// first fact has the number `first`. `None` where the run is over: all were.
    pub fn counted(&self, host: u64, epoch: u64, first: u64) -> Option<u64> {
        let mark = self.of(host);
        match epoch.cmp(&mark.epoch) {
            std::cmp::Ordering::Less => None,
            std::cmp::Ordering::Equal => Some(mark.next.saturating_sub(first)),
            std::cmp::Ordering::Greater => Some(0),
        }
    }

    /// A host's facts are counted so far; false where there are too many hosts.
    pub fn set(&mut self, mark: Mark) -> bool {
        if let Some(known) = self.hosts.iter_mut().find(|known| known.host == mark.host) {
            *known = mark;
            return true;
        }
        if self.hosts.len() >= HOSTS {
            return false;
        }
        self.hosts.push(mark);
        true
    }

    /// For a snapshot.
    pub(super) fn dump(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.stream.to_le_bytes());
        for Mark { host, epoch, next } in &self.hosts {
            for word in [host, epoch, next] {
                out.extend_from_slice(&word.to_le_bytes());
            }
        }
    }

    /// From a snapshot; `None` when it is none of ours.
    pub(super) fn read(section: &[u8]) -> Option<Self> {
        let (words, []) = section.as_chunks::<8>() else { return None };
        let mut words = words.iter().map(|word| u64::from_le_bytes(*word));
        let mut this = Self { stream: words.next()?, ..Self::new() };
        while let Some(host) = words.next() {
            let (epoch, next) = (words.next()?, words.next()?);
            if !this.set(Mark { host, epoch, next }) {
                return None;
            }
        }
        Some(this)
    }
}
