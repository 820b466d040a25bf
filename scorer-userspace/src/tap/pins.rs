//! Maps and links kept in a BPF file system, over the end of this process: what is
//! pinned goes on working, and the next process takes it up.

use std::{
    fs,
    path::{Path, PathBuf},
};

use aya::programs::{
    Xdp,
    links::{FdLink, PinnedLink},
    xdp::XdpLink,
};
use scorer_common::maps;

use super::{Mode, TapError, attach::attach, chain};
use crate::private;

/// A folder of pins.
#[derive(Clone, Debug)]
pub struct Pins {
    folder: PathBuf,
}

impl Pins {
    /// That of `name` in `root`; made where it is not there.
    ///
    /// # Errors
    /// [`TapError::NotBpffs`], [`TapError::System`].
    pub fn new(root: &Path, name: &str) -> Result<Self, TapError> {
        let pins = Self { folder: root.join(name) };
        // The root is made in a BPF file system or not at all: elsewhere pins fail.
        let existing = root.ancestors().find(|path| path.exists()).unwrap_or(root);
        let about = nix::sys::statfs::statfs(existing).map_err(|source| {
            TapError::system(format!("cannot look at {}", existing.display()), source)
        })?;
        if about.filesystem_type().0 != libc::BPF_FS_MAGIC {
            return Err(TapError::NotBpffs { path: root.to_owned() });
        }
        let versioned = pins.maps();
        // Who can open a map can write it.
        private::make_folder(&versioned).map_err(|source| {
            TapError::system(format!("cannot make the folder {}", versioned.display()), source)
        })?;
        Ok(pins)
    }

    /// The same, only if it is there.
    pub fn existing(root: &Path, name: &str) -> Option<Self> {
        let pins = Self { folder: root.join(name) };
        pins.folder.is_dir().then_some(pins)
    }

    /// Folder of it all.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn maps(&self) -> PathBuf {
        self.folder.join(format!("v{}", maps::LAYOUT))
    }

    /// Where a map is pinned.
    pub fn map(&self, name: &str) -> PathBuf {
        self.maps().join(name)
    }

    fn link(&self, which: &str) -> PathBuf {
        self.folder.join(which)
    }

    /// Puts `program` on an interface: in place of the one that the pinned link
    /// `which` holds there, in one step, or anew. Whether it runs in the driver;
    /// `None` where it took another's place.
    ///
    /// # Errors
    /// [`TapError`].
    pub fn attach(
        &self,
        program: &mut Xdp,
        which: &str,
        (interface, ifindex): (&str, u32),
        mode: Mode,
    ) -> Result<Option<bool>, TapError> {
        let path = self.link(which);
        if let Ok(pinned) = PinnedLink::from_pin(&path) {
            match replace(program, pinned.into()) {
                Ok(()) => return Ok(None),
                // The interface has gone, and perhaps come again.
                Err(reason) => log::info!("{interface}: {reason}; attaching anew"),
            }
            fs::remove_file(&path).map_err(|source| {
                TapError::system(format!("cannot remove {}", path.display()), source)
            })?;
        }
        let (id, native) = attach(program, interface, ifindex, mode)?;
        let link = program.take_link(id);
        let link = link.map_err(|source| TapError::Program { source: Box::new(source) })?;
        let pin = |link: XdpLink| -> Result<(), String> {
            let link: FdLink = link.try_into().map_err(|error| chain(&error))?;
            link.pin(&path).map_err(|error| chain(&error))?;
            Ok(())
        };
        pin(link).map_err(|reason| {
            TapError::system(
                format!("cannot pin the link of {interface}"),
                std::io::Error::other(reason),
            )
        })?;
        Ok(Some(native))
    }

    /// Takes programs off their interfaces and forgets the maps.
    ///
    /// # Errors
    /// When a file cannot be removed; the rest is.
    pub fn remove(self) -> std::io::Result<()> {
        let mut result = Ok(());
        let mut keep = |outcome: std::io::Result<()>| {
            if outcome.is_err() {
                result = outcome;
            }
        };
        // Links first: the programs let go of the maps.
        let mut folders = vec![self.folder.clone()];
        for entry in fs::read_dir(&self.folder)?.flatten() {
            let path = entry.path();
            if path.is_dir() {
                for map in fs::read_dir(&path)?.flatten() {
                    keep(fs::remove_file(map.path()));
                }
                folders.push(path);
            } else {
                keep(fs::remove_file(path));
            }
        }
        for folder in folders.into_iter().rev() {
            keep(fs::remove_dir(folder));
        }
        result
    }
}

/// Replaces what the link holds by `program` (`BPF_LINK_UPDATE`): no packet goes by
/// without the one or the other.
fn replace(program: &mut Xdp, link: FdLink) -> Result<(), String> {
    let link = XdpLink::try_from(link).map_err(|error| chain(&error))?;
    program.attach_to_link(link).map(drop).map_err(|error| chain(&error))
}
