//! Ways out of band, opened and kept up beside the scoring thread.

use std::{net::SocketAddr, sync::Arc};

use anyhow::Context as _;

use crate::{
    config::Config,
    metrics::OutOfBand,
    verdict::{
        deliver::{self, Deliveries},
        http::{self, HttpStats},
        keeper::{Asking, Keeper},
        recent::{Questions, Recent, feed, questions},
        redirect::{Listener, RedirectStats, Server},
    },
};

/// What the other threads do for verdicts.
#[derive(Debug)]
pub(super) struct Ways {
    /// Counters.
    pub(super) stats: OutOfBand,
    keeper: Option<Keeper>,
    http: Option<(SocketAddr, axum::Router, Arc<HttpStats>)>,
    recent: Option<Arc<Recent>>,
}

impl Ways {
    /// Opens the ways of the configuration; what the scoring thread has of them.
    pub(super) fn open(config: &Config) -> anyhow::Result<(Self, Deliveries, Option<Questions>)> {
        let mut stats = OutOfBand::default();
        let (mut asking, mut asked) = (None, None);
        if config.redirect.listen.is_some() {
            let counters = Arc::new(RedirectStats::default());
            let listener = Listener::bind(&config.redirect)?;
            log::info!("answering INVITEs on {} (redirect)", listener.local());
            let server =
                Server::new(config.redirect.clone(), listener.local(), Arc::clone(&counters));
            let (asker, queue) = questions().context("cannot make a queue")?;
            asking = Some(Asking::new(listener, server, asker));
            asked = Some(queue);
            stats.redirect = Some(counters);
        }
        let (mut keeper, mut http, mut fed, mut kept) = (None, None, None, None);
        if asking.is_some() || config.deliver.http.is_some() || config.api.is_on() {
            let (feed, mail) = feed().context("cannot make a queue")?;
            let recent = Arc::new(Recent::new(config.deliver.recent));
            if config.api.is_on() || config.deliver.http.is_some() {
                stats.http = Some(Arc::default());
            }
            if let (Some(address), Some(counters)) = (config.deliver.http, stats.http.clone()) {
                let wait = config.deliver.http_wait;
                let router = http::router(Arc::clone(&recent), wait, Arc::clone(&counters));
                http = Some((address, router, counters));
            }
            kept = Some(Arc::clone(&recent));
            keeper = Some(Keeper::new(mail, recent, asking));
            fed = Some(feed);
        }
        let deliveries = Deliveries::open(&config.deliver, config.style.mask, fed)?;
        stats.deliveries = Arc::clone(deliveries.stats());
        Ok((Self { stats, keeper, http, recent: kept }, deliveries, asked))
    }

    /// Verdicts by Call-ID, where they are kept, and their counters.
    pub(super) fn recent(&self) -> Option<(Arc<Recent>, Arc<HttpStats>)> {
        self.recent.clone().zip(self.stats.http.clone())
    }

    /// Starts the thread that keeps verdicts, if there is to be one. It ends when the
    /// scoring thread's end of its queue is gone.
    pub(super) fn keep(&mut self) -> anyhow::Result<Option<std::thread::JoinHandle<()>>> {
        let Some(keeper) = self.keeper.take() else { return Ok(None) };
        let thread = std::thread::Builder::new().name("verdicts".into());
        Ok(Some(thread.spawn(move || keeper.run()).context("cannot start a thread")?))
    }

    /// Serves HTTP and tells of failures, for ever.
    pub(super) async fn serve(&self) -> anyhow::Result<()> {
        let http = async {
            match self.http.clone() {
                Some((address, router, stats)) => http::serve(address, router, stats).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            result = http => result.map_err(anyhow::Error::from),
            () = deliver::watch(&self.stats.deliveries) => Ok(()),
        }
    }
}
