//! Where a capture's bytes come from: a mapped file, or a pipe read in pieces.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use memmap2::Mmap;

/// Bytes of a pipe held at most. The largest record fits in it.
const WINDOW: usize = 1 << 20;

pub(super) enum Source {
    /// All of it.
    Map {
        map: Mmap,
        /// Up to here pages were asked for.
        populated: usize,
    },
    Pipe(Pipe),
}

pub(super) struct Pipe {
    input: Box<dyn Read + Send>,
    window: Box<[u8]>,
    filled: usize,
    /// Bytes before the window.
    before: u64,
    ended: bool,
}

impl Source {
    /// Opens a file, or standard input for `-`. What cannot be mapped (a pipe, a
    /// device, an empty file) is read.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        if path.as_os_str() == "-" {
            return Ok(Self::pipe(Box::new(io::stdin())));
        }
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        if metadata.is_file() {
            // SAFETY: the map is read only. Should somebody cut the file meanwhile
            // the process gets SIGBUS, as any program that maps its input.
            if let Ok(map) = unsafe { Mmap::map(&file) } {
                // Read ahead; whether the kernel does is its own affair.
                let _ = map.advise(memmap2::Advice::Sequential);
                return Ok(Self::Map { map, populated: 0 });
            }
        }
        Ok(Self::pipe(Box::new(file)))
    }

    pub(super) fn pipe(input: Box<dyn Read + Send>) -> Self {
        let window = vec![0; WINDOW].into();
        Self::Pipe(Pipe { input, window, filled: 0, before: 0, ended: false })
    }

    /// Has the pages behind `at` mapped many at a time: each fault would cost more
    /// than a message.
    pub(super) fn advance(&mut self, at: usize) {
        const AHEAD: usize = 4 << 20;
        let Self::Map { map, populated } = self else { return };
        if at >= *populated {
            let from = at & !0xfff;
            let length = AHEAD.min(map.len() - from.min(map.len()));
            // Linux 5.14; elsewhere pages come as they are touched.
            #[cfg(target_os = "linux")]
            let _ = map.advise_range(memmap2::Advice::PopulateRead, from, length);
            *populated = from + length.max(1);
        }
    }

    /// What is there to be parsed.
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Map { map, .. } => map,
            Self::Pipe(pipe) => pipe.window.get(..pipe.filled).unwrap_or_default(),
        }
    }

    /// Bytes that went by before those of [`Self::bytes`].
    pub(super) fn before(&self) -> u64 {
        match self {
            Self::Map { .. } => 0,
            Self::Pipe(pipe) => pipe.before,
        }
    }

    /// Length of it all; `None` where only the end will tell.
    pub(super) fn len(&self) -> Option<u64> {
        match self {
            Self::Map { map, .. } => Some(map.len() as u64),
            Self::Pipe(_) => None,
        }
    }

    /// Reads more; what stands before `at` is given up and `at` set to match.
    /// False when there is no more.
    pub(super) fn more(&mut self, at: &mut usize) -> io::Result<bool> {
        let Self::Pipe(pipe) = self else { return Ok(false) };
        pipe.drop_before(at);
        pipe.read()
    }

    /// Passes over `length` bytes from `at` on, more than are there. False when
    /// the end came first.
    pub(super) fn skip(&mut self, at: &mut usize, length: usize) -> io::Result<bool> {
        let Self::Pipe(pipe) = self else { return Ok(false) };
        let mut left = length;
        loop {
            pipe.drop_before(at);
            let here = left.min(pipe.filled);
            *at = here;
            left -= here;
            if left == 0 {
                return Ok(true);
            }
            pipe.drop_before(at);
            if !pipe.read()? {
                return Ok(false);
            }
        }
    }
}

impl Pipe {
    fn drop_before(&mut self, at: &mut usize) {
        let gone = (*at).min(self.filled);
        self.window.copy_within(gone..self.filled, 0);
        self.filled -= gone;
        self.before += gone as u64;
        *at = 0;
    }

    /// False at the end, and when the window is full.
    fn read(&mut self) -> io::Result<bool> {
        if self.ended {
            return Ok(false);
        }
        loop {
            let room = self.window.get_mut(self.filled..).unwrap_or_default();
            match self.input.read(room) {
                Ok(0) => {
                    self.ended = true;
                    return Ok(false);
                }
                Ok(length) => {
                    self.filled += length;
                    return Ok(true);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = if matches!(self, Self::Map { .. }) { "Map" } else { "Pipe" };
        f.debug_struct(name).field("bytes", &self.bytes().len()).finish_non_exhaustive()
    }
}
