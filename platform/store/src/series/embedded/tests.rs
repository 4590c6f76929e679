use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use kernel::SystemClock;
use tempfile::TempDir;

use super::*;
use crate::series::SharedSeries;
use crate::series::conformance::{Harness, series_conformance};

struct Fixture {
    options: EmbeddedOptions,
    store: Option<Arc<Embedded>>,
    /// Removed when the test ends, after the store has let go of it.
    dir: TempDir,
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options = EmbeddedOptions::new(dir.path(), SystemClock::shared());
        let store = Some(Embedded::open(options.clone()).unwrap());
        Self { options, store, dir }
    }

    fn embedded(&self) -> &Arc<Embedded> {
        self.store.as_ref().unwrap()
    }

    fn close(&mut self) {
        if let Some(store) = self.store.take() {
            assert!(Arc::into_inner(store).is_some(), "the test still uses the store");
        }
    }

    fn open(&mut self) {
        self.store = Some(Embedded::open(self.options.clone()).unwrap());
    }
}

impl Harness for Fixture {
    fn store(&self) -> SharedSeries {
        Arc::clone(self.embedded()) as SharedSeries
    }

    fn reopen(&mut self) -> BoxFuture<'_, ()> {
        async move {
            self.close();
            self.open();
        }
        .boxed()
    }

    fn seal(&self) -> BoxFuture<'_, ()> {
        async move { self.embedded().seal_now().await.unwrap() }.boxed()
    }
}

mod conformance {
    use super::*;

    series_conformance!(Fixture::new);
}
