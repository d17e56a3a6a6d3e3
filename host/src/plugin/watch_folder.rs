//! Tells when a file of a folder was saved, at once where the system tells of it and by a look now and then where it does not.
//!
//! Promises: a save is told within milliseconds on a local disk, when the writer has closed the file or moved it into place,
//! and however it was saved within [`LOOK_EVERY`]; a burst of saves is told once. Must not know: what is in the files.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fs_notify::event::{AccessKind, AccessMode, ModifyKind};
use fs_notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;

/// How often a look is due whatever the system tells. Network drives tell nothing of what others write. Cheap: one `stat` per rule.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Wait after a save, for the others of the same breath: editors write, rename and remove in one go.
const SETTLE: Duration = Duration::from_millis(3);

/// A watch over one folder at a time.
#[derive(Default)]
pub struct FolderWatch {
    saved: Arc<Notify>,
    watching: Option<(PathBuf, RecommendedWatcher)>,
}

impl FolderWatch {
    /// Watches this folder from now on, if it is there. Cheap if it is the same as before.
    pub fn follow(&mut self, folder: Option<&Path>) {
        if self.watching.as_ref().map(|(watched, _)| watched.as_path()) == folder {
            return;
        }
        self.watching = None;
        let Some(folder) = folder.filter(|folder| folder.is_dir()) else { return };
        let saved = Arc::clone(&self.saved);
        let tell = move |event: fs_notify::Result<Event>| {
            if event.is_ok_and(|event| is_save(&event)) {
                saved.notify_one();
            }
        };
        let watcher = fs_notify::recommended_watcher(tell).and_then(|mut watcher| {
            watcher.watch(folder, RecursiveMode::NonRecursive)?;
            Ok(watcher)
        });
        match watcher {
            Ok(watcher) => self.watching = Some((folder.to_owned(), watcher)),
            Err(cause) => {
                tracing::debug!(error = %cause, "The system does not tell of changes in the rules folder; it is looked at now and then");
            }
        }
    }

    /// Waits until a look at the folder is due.
    pub async fn changed(&self) {
        if tokio::time::timeout(LOOK_EVERY, self.saved.notified()).await.is_ok() {
            tokio::time::sleep(SETTLE).await;
        }
    }
}

/// Whether a file is whole now or gone. Where the system tells when a writer is done, its single writes are not told: who
/// loads a file then would read half of it.
fn is_save(event: &Event) -> bool {
    match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write))
        | EventKind::Modify(ModifyKind::Name(_))
        | EventKind::Remove(_) => true,
        EventKind::Create(_) | EventKind::Modify(_) | EventKind::Any => {
            event.need_rescan() || !cfg!(target_os = "linux")
        }
        EventKind::Access(_) | EventKind::Other => event.need_rescan(),
    }
}
