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
                match self.config.lists() {
                    Ok(lists) => {
                        env.lists = Arc::new(lists);
                        new = true;
                        log::info!("lists were read anew");
                        // It has read the store, too, but not said up to where.
                        self.store = self.config.store.as_deref().map(Follower::new);
                    }
                    Err(error) => kept(&error),
                }
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
                match news {
                    News::Few(rows) => log::info!("{} entries of lists changed", rows.len()),
                    _ => log::info!("the list store was read: {} entries in all", lists.len()),
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
