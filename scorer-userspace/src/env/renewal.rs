//! Keeps an [`Env`] up to date: looks at its files, and loads anew what changed. What
//! cannot be used leaves the old in its place.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use super::{Env, EnvConfig};
use crate::{
    cases,
    lists::{Follower, Lists, News},
    number::Ranges,
    verdict::Thresholds,
};

/// Of this many looks one is at the large files, too.
const SELDOM: u32 = 20;

/// Looks at the files of an [`Env`].
#[derive(Debug)]
pub struct Renewal {
    config: EnvConfig,
    levels: Thresholds,
    env: Arc<Env>,
    tables: Watch,
    lists: Watch,
    addresses: Watch,
    policy: Watch,
    store: Option<Follower>,
    cases: Option<cases::Follower>,
    /// The lists in use have entries of the store.
    read_store: bool,
    /// What was last said of the store, so that it is not said at every look.
    trouble: Option<String>,
    looks: u32,
}

impl Renewal {
    /// Of the files of `config`, from which `env` was loaded.
    pub fn new(config: &EnvConfig, levels: Thresholds, env: Arc<Env>) -> Self {
        Self {
            levels,
            env,
            tables: Watch::new(&config.tables),
            lists: Watch::new(&config.lists),
            addresses: Watch::new(config.addresses.as_slice()),
            policy: Watch::new(config.policy.as_slice()),
            store: config.store.as_deref().map(Follower::new),
            cases: config.store.as_deref().map(cases::Follower::new),
            read_store: false,
            trouble: None,
            looks: 0,
            config: config.clone(),
        }
    }

    /// Looks at the policy and the store, and every twentieth time at everything. Gives
    /// what calls are to be judged by from now on, if that is another. Errors are logged.
    pub fn look(&mut self) -> Option<Arc<Env>> {
        let mut env = (*self.env).clone();
        let mut new = false;
        if self.looks.is_multiple_of(SELDOM) {
            new |= self.look_at_tables(&mut env);
            if self.lists.changed() {
                new |= self.look_at_lists(&mut env);
            }
        }
        self.looks = self.looks.wrapping_add(1);
        if self.policy.changed() {
            match self.config.policy(self.levels) {
                Ok(policy) => {
                    env.policy = policy.map(|policy| {
                        let policy = match &self.env.policy {
                            Some(old) => policy.counting_on(old),
                            None => policy,
                        };
                        for warning in policy.warnings() {
                            log::warn!("{warning}");
                        }
                        Arc::new(policy)
                    });
                    new = true;
                    log::info!("the policy was read anew");
                }
                Err(error) => kept(&error),
            }
        }
        if let Some(lists) = self.look_at_store(&env) {
            env.lists = Arc::new(lists);
            new = true;
        }
        // What is wrong with the file was told by now.
        let cases = self.cases.as_mut().and_then(|cases| cases.look().ok().flatten());
        if let Some(cases) = cases.filter(|cases| *cases != *env.cases) {
            log::info!("cases were read: {} are open", cases.len());
            env.cases = Arc::new(cases);
            new = true;
        }
        env.observe =
            self.config.observe || env.policy.as_ref().is_some_and(|policy| policy.observes());
        new.then(|| {
            self.env = Arc::new(env);
            Arc::clone(&self.env)
        })
    }

    fn look_at_tables(&mut self, env: &mut Env) -> bool {
        let mut new = false;
        if self.tables.changed() {
            match Ranges::load(&self.config.tables) {
                Ok(ranges) => {
                    env.ranges = Arc::new(ranges);
                    new = true;
                    log::info!("number tables were read anew");
                }
                Err(error) => kept(&error),
            }
        }
        if self.addresses.changed() {
            match self.config.addresses() {
                Ok(addresses) => {
                    env.addresses = addresses;
                    new = true;
                    log::info!("the database of addresses was read anew");
                }
                Err(error) => kept(&error),
            }
        }
        new
    }

    /// Files of lists. Where the store's entries are in use, its next look reads both:
    /// while the store cannot be read, its entries must not be lost with the old files.
    fn look_at_lists(&mut self, env: &mut Env) -> bool {
        let (trunks, home) = (&self.config.trunks, self.config.home_country);
        match Lists::load(&self.config.lists, None, trunks, home) {
            Ok(_) if self.read_store => {
                self.store = self.config.store.as_deref().map(Follower::new);
                log::info!("lists changed, and are read with the store");
                false
            }
            Ok(lists) => {
                env.lists = Arc::new(lists);
                self.store = self.config.store.as_deref().map(Follower::new);
                log::info!("lists were read anew");
                true
            }
            Err(error) => {
                kept(&error);
                false
            }
        }
    }

    /// The store's changes. While it is locked, missing or damaged, what was read of it
    /// stays in use.
    fn look_at_store(&mut self, env: &Env) -> Option<Lists> {
        let follower = self.store.as_mut()?;
        let config = &self.config;
        let (trunks, home) = (&config.trunks, config.home_country);
        let result = follower.look().map_err(Into::into).and_then(|news| {
            let lists = follower.take(
                &news,
                |store, rows| Ok(env.lists.with_changes(store, rows, trunks, home)?),
                |store| Lists::load(&config.lists, Some(store), trunks, home),
            )?;
            Ok(lists.map(|lists| (lists, news)))
        });
        match result {
            Ok(new) => {
                if self.trouble.take().is_some() {
                    log::info!("the list store can be read again");
                }
                let (lists, news) = new?;
                self.read_store = true;
                match news {
                    News::Few(rows) => {
                        log::info!("entries of lists changed since all were read: {}", rows.len());
                    }
                    _ => log::info!(
                        "the list store was read: {} entries of lists in all",
                        lists.len()
                    ),
                }
                Some(lists)
            }
            Err(error) => {
                follower.forget();
                let error: crate::lists::ListError = error;
                let words = error.to_string();
                if self.trouble.as_ref() != Some(&words) {
                    log::error!("{words}; what was loaded before stays in use");
                    self.trouble = Some(words);
                }
                None
            }
        }
    }
}

fn kept(error: &dyn std::error::Error) {
    log::error!("{error}; what was loaded before stays in use");
}

/// Tells when files have changed.
#[derive(Debug)]
struct Watch {
    files: Vec<(PathBuf, Option<(SystemTime, u64)>)>,
}

impl Watch {
    fn new(files: &[PathBuf]) -> Self {
        Self { files: files.iter().map(|path| (path.clone(), stamp(path))).collect() }
    }

    /// Whether a file is another than at the last call.
    fn changed(&mut self) -> bool {
        let mut changed = false;
        for (path, known) in &mut self.files {
            let now = stamp(path);
            changed |= now != *known;
            *known = now;
        }
        changed
    }
}

fn stamp(path: &Path) -> Option<(SystemTime, u64)> {
    let about = std::fs::metadata(path).ok()?;
    Some((about.modified().ok()?, about.len()))
}

#[cfg(test)]
mod tests {
    use std::{path::Path, sync::Arc};

    use super::{Renewal, SELDOM};
    use crate::{
        env::{Env, EnvConfig},
        lists::{List, Query, Store, Stored},
        number::Number,
        time::Timestamp,
        verdict::Thresholds,
    };

    /// What a tap does, without its clock.
    struct Site {
        renewal: Renewal,
        env: Arc<Env>,
    }

    impl Site {
        fn new(config: &EnvConfig) -> Self {
            let levels = Thresholds::default();
            let env = Arc::new(Env::load(config, levels).expect("good files"));
            Self { renewal: Renewal::new(config, levels, Arc::clone(&env)), env }
        }

        /// Looks so often that everything has its turn.
        fn look(&mut self) {
            for _ in 0..=SELDOM {
                self.env = self.renewal.look().unwrap_or_else(|| Arc::clone(&self.env));
            }
        }

        fn denied(&self, numbers: [&str; 3]) -> [bool; 3] {
            numbers.map(|text| {
                let number = Number::parse(text.as_bytes(), None);
                let query = Query {
                    shown: number.as_ref(),
                    network: None,
                    fingerprint: 0,
                    profile: 0,
                    source: [192, 0, 2, 1].into(),
                    trunk: None,
                    now: Timestamp::new(1, 0),
                };
                self.env.lists.look(&query).deny.is_some()
            })
        }
    }

    const NUMBERS: [&str; 3] = ["+441632960001", "+441632960002", "+441632960003"];

    fn add(path: &Path, number: &str) {
        let entry = Stored {
            list: List::DenyNumber,
            value: number.to_owned(),
            reason: String::new(),
            author: String::new(),
            created: 0,
            expires: None,
            from: String::new(),
        };
        Store::open(path).and_then(|mut store| store.add(&entry, "ann", 0, None)).expect("added");
    }

    #[test]
    fn files_and_a_store_that_comes_and_goes() {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, path) = (folder.path().join("l.csv"), folder.path().join("l.sqlite"));
        let write = |text: &str| std::fs::write(&file, text).expect("written");
        write("deny_number,+441632960001\n");
        let config = EnvConfig {
            lists: vec![file.clone()],
            store: Some(path.clone()),
            ..EnvConfig::default()
        };
        // Missing from the start: the file counts, also when it changes.
        let mut site = Site::new(&config);
        assert_eq!(site.denied(NUMBERS), [true, false, false]);
        write("deny_number,+441632960003\n\n");
        site.look();
        assert_eq!(site.denied(NUMBERS), [false, false, true]);
        add(&path, NUMBERS[1]);
        site.look();
        assert_eq!(site.denied(NUMBERS), [false, true, true]);
        // Not to be read when the file changes: what was read of it is not lost, and the
        // file counts when it is back.
        let aside = folder.path().join("aside");
        std::fs::rename(&path, &aside).expect("moved");
        write("deny_number,+441632960001\n");
        site.look();
        assert!(site.denied(NUMBERS)[1], "what was read of the store stays");
        std::fs::rename(&aside, &path).expect("moved back");
        site.look();
        assert_eq!(site.denied(NUMBERS), [true, true, false]);
        // A file that is wrong: the old one counts, and changes of the store do.
        write("deny_number,alice\n");
        add(&path, NUMBERS[2]);
        site.look();
        assert_eq!(site.denied(NUMBERS), [true, true, true]);
        std::fs::remove_file(&path).expect("removed");
        write("deny_number,+441632960009\n");
        site.look();
        assert!(site.denied(NUMBERS)[1], "of a store that is gone what was read stays");
    }
}
