//! A pinned BPF map: another program, or a router's module, looks a call up in it.

use std::{
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use aya::maps::{HashMap, Map, MapData};
use aya_obj::generated::bpf_map_type::BPF_MAP_TYPE_LRU_HASH;

use super::DeliverError;
use crate::verdict::wire::RECORD;

/// Name that `bpftool map` shows.
const NAME: &str = "scorer_verdicts";

/// The map, newest verdict of every call; the least recently used makes room.
pub(super) struct CallMap(HashMap<MapData, u64, [u8; RECORD]>);

impl std::fmt::Debug for CallMap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CallMap").finish_non_exhaustive()
    }
}

impl CallMap {
    /// Opens the map pinned at `path`, or makes it and pins it there. It stays when
    /// this process ends, so that readers need not look again.
    pub(super) fn open(
        path: &Path,
        entries: u32,
        group: Option<u32>,
    ) -> Result<Self, DeliverError> {
        let refused = |source: aya::maps::MapError| DeliverError::Map {
            path: path.to_owned(),
            source: Box::new(source),
        };
        if let Some(map) = existing(path, entries) {
            return HashMap::try_from(map).map(Self).map_err(refused);
        }
        let system = |source| DeliverError::Pin { path: path.to_owned(), source };
        if let Some(folder) = path.parent() {
            // Readers of other users pass through it.
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o711)
                .create(folder)
                .map_err(system)?;
        }
        let definition = aya_obj::Map::new_from_params(
            BPF_MAP_TYPE_LRU_HASH as u32,
            size_of::<u64>() as u32,
            RECORD as u32,
            entries,
            0,
        );
        let data = MapData::create(definition, NAME, None).map_err(refused)?;
        // Pinned beside and moved there: a reader finds the old one or the new one.
        let beside = beside(path);
        let _ = std::fs::remove_file(&beside);
        data.pin(&beside)
            .map_err(|error| refused(aya::maps::MapError::PinError { name: None, error }))?;
        set_readers(&beside, group).map_err(system)?;
        std::fs::rename(&beside, path).map_err(system)?;
        HashMap::try_from(Map::LruHashMap(data)).map(Self).map_err(refused)
    }

    /// Puts the newest verdict of a call into it; false when the kernel refused.
    pub(super) fn put(&mut self, key: u64, record: &[u8; RECORD]) -> bool {
        self.0.insert(key, record, 0).is_ok()
    }
}

/// The map that is pinned already, if it is just like the one wanted.
fn existing(path: &Path, entries: u32) -> Option<Map> {
    let data = MapData::from_pin(path).ok()?;
    let info = data.info().ok()?;
    let same = info.max_entries() == entries
        && info.key_size() == size_of::<u64>() as u32
        && info.value_size() == RECORD as u32;
    let map = Map::from_map_data(data).ok()?;
    (same && matches!(map, Map::LruHashMap(_))).then_some(map)
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    // A BPF file system keeps names with a dot to itself.
    name.push("-new");
    path.with_file_name(name)
}

/// The owner reads and writes, the group reads.
fn set_readers(path: &Path, group: Option<u32>) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    if let Some(group) = group {
        std::os::unix::fs::chown(path, None, Some(group))?;
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o640))
}

#[cfg(test)]
mod tests {
    use super::CallMap;

    /// A BPF file system of its own: hosts need not have one mounted.
    struct Mounted(tempfile::TempDir);

    impl Mounted {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let mut mount = std::process::Command::new("mount");
            let mounted = mount.args(["-t", "bpf", "bpf"]).arg(folder.path()).status();
            assert!(mounted.is_ok_and(|status| status.success()), "no BPF file system");
            Self(folder)
        }
    }

    impl Drop for Mounted {
        fn drop(&mut self) {
            let _ = std::process::Command::new("umount").arg(self.0.path()).status();
        }
    }

    #[test]
    fn is_pinned_and_found_again() {
        if !nix::unistd::geteuid().is_root() {
            println!("SKIPPED: this test needs root");
            return;
        }
        let mounted = Mounted::new();
        let path = &mounted.0.path().join("scorer/verdicts");
        let mut map = CallMap::open(path, 64, None).expect("a map");
        assert!(map.put(7, &[1; 64]) && map.put(7, &[2; 64]));
        drop(map);
        let same = CallMap::open(path, 64, None).expect("found again");
        assert_eq!(same.0.get(&7, 0).expect("an entry"), [2; 64]);
        let other = CallMap::open(path, 128, None).expect("another");
        assert!(other.0.get(&7, 0).is_err());
        // The least recently used make room.
        let mut other = other;
        assert!((0..10_000).all(|key| other.put(key, &[3; 64])));
        std::fs::remove_file(path).expect("removed");
        std::fs::remove_dir(path.parent().expect("a folder")).expect("removed");
    }
}
