//! The folder of one stack: configuration, secrets, data, logs, and what the runner remembers.

use std::{
    fs::{self, DirBuilder, File, TryLockError},
    io::{self, Read},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Context, bail};
use nix::unistd::{Uid, User};

use crate::{ledger, process::Process};

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A folder that no other runner uses at the same time.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    temporary: bool,
    _lock: File,
}

impl Folder {
    /// The folder of the stack that keeps its data.
    pub(crate) fn kept(path: &Path) -> anyhow::Result<Self> {
        create(path)?;
        let path = path.canonicalize()?;
        let lock = lock(&path)?;
        Ok(Self { path, temporary: false, _lock: lock })
    }

    /// A fresh one that goes away with this value.
    pub(crate) fn temporary() -> anyhow::Result<Self> {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = shared()?.join(format!("{}-{count}", std::process::id()));
        create(&path)?;
        let lock = lock(&path)?;
        Ok(Self { path, temporary: true, _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.path.join("config")
    }

    /// Where `component` keeps its data; made when missing.
    pub(crate) fn data(&self, component: &str) -> anyhow::Result<PathBuf> {
        let data = self.path.join("data");
        create(&data)?;
        Ok(data.join(component))
    }

    pub(crate) fn log(&self, component: &str) -> anyhow::Result<PathBuf> {
        let logs = self.path.join("logs");
        create(&logs)?;
        Ok(logs.join(format!("{component}.log")))
    }

    /// Where `whose` lines go as JSON, for the collector; made when missing.
    pub(crate) fn lines(&self, whose: &str) -> anyhow::Result<PathBuf> {
        let lines = self.log(whose)?.with_extension("");
        fs::create_dir_all(&lines)?;
        Ok(lines)
    }

    /// Forgets everything but the lock.
    pub(crate) fn clear(&self) -> anyhow::Result<()> {
        for part in ["config", "data", "logs", "secrets"] {
            match fs::remove_dir_all(self.path.join(part)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("{}/{part} cannot be removed", self.path.display()));
                }
                _ => (),
            }
        }
        Ok(())
    }

    fn secrets(&self) -> anyhow::Result<PathBuf> {
        let folder = self.path.join("secrets");
        DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        Ok(folder)
    }

    /// Writes a secret that is known, and returns its file.
    pub(crate) fn write_secret(&self, name: &str, value: &str) -> anyhow::Result<PathBuf> {
        let path = self.secrets()?.join(name);
        // A new file: the mode of an old one would stay as it is.
        let new = path.with_extension("new");
        let _ = fs::remove_file(&new);
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(&new)?;
        io::Write::write_all(&mut file, value.as_bytes())?;
        fs::rename(&new, &path)?;
        Ok(path)
    }

    /// What a deployment sets for the service, as `CONFIG_FILE`.
    pub(crate) fn deployment(&self) -> PathBuf {
        self.config().join("service.env")
    }

    /// The next start of the service is that of `version` and `revision`; what is empty is as it was built.
    pub(crate) fn write_deployment(&self, version: &str, revision: &str) -> io::Result<()> {
        let named = [("service.version", version), ("vcs.ref.head.revision", revision)];
        let known = named.iter().filter(|(_, value)| !value.is_empty());
        let attributes = known.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(",");
        fs::write(self.deployment(), format!("OTEL_RESOURCE_ATTRIBUTES={attributes}\n"))
    }

    /// A secret made at random once, and kept as long as the folder.
    pub(crate) fn random_secret(&self, name: &str) -> anyhow::Result<String> {
        if let Ok(kept) = fs::read_to_string(self.secrets()?.join(name)) {
            return Ok(kept);
        }
        let mut bytes = [0; 24];
        File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        let digits: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let secret = digits.concat();
        self.write_secret(name, &secret)?;
        Ok(secret)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.temporary {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// The folder of this user that every runner knows: temporary stacks and reserved ports.
pub(crate) fn shared() -> anyhow::Result<PathBuf> {
    let path = std::env::temp_dir().join(format!("lookout-{}", Uid::effective()));
    create(&path)?;
    Ok(path)
}

/// Ends what killed runners of temporary stacks left behind, and names it.
pub(crate) async fn sweep() -> anyhow::Result<Vec<String>> {
    let mut left = Vec::new();
    for entry in fs::read_dir(shared()?)?.flatten() {
        let name = entry.file_name();
        let runner = name.to_str().and_then(|name| name.split_once('-')?.0.parse().ok());
        if runner.is_some_and(|pid| Process::find(pid).is_none()) {
            left.extend(ledger::clean_up(&entry.path()).await);
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    Ok(left)
}

fn create(path: &Path) -> anyhow::Result<()> {
    // Others may pass through, for Postgres may have to run as somebody else, but not look around.
    DirBuilder::new()
        .recursive(true)
        .mode(0o711)
        .create(path)
        .with_context(|| format!("{} cannot be made: choose another folder with LOOKOUT_STATE", path.display()))?;
    let metadata = fs::metadata(path)?;
    let me = Uid::effective();
    if metadata.uid() != me.as_raw() {
        bail!(foreign(path, Uid::from_raw(metadata.uid()), me));
    }
    if metadata.permissions().mode() & 0o022 != 0 {
        fs::set_permissions(path, fs::Permissions::from_mode(0o711))?;
    }
    Ok(())
}

/// What to do about a folder of somebody else.
fn foreign(path: &Path, owner: Uid, me: Uid) -> String {
    format!(
        "{} belongs to {}, and you are {}: run this as {0}'s owner, choose another folder with LOOKOUT_STATE, or remove this one",
        path.display(),
        name(owner),
        name(me),
    )
}

fn name(uid: Uid) -> String {
    match User::from_uid(uid) {
        Ok(Some(user)) => user.name,
        _ => format!("user {uid}"),
    }
}

fn lock(path: &Path) -> anyhow::Result<File> {
    let file = File::options().create(true).append(true).open(path.join("lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => bail!(
            "a stack is up already in {}: `stack down` stops it, LOOKOUT_STATE=<another folder> starts a second one",
            path.display()
        ),
        Err(TryLockError::Error(error)) => Err(error).context("the stack's folder cannot be locked"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_another_user_is_refused_with_what_to_do() {
        let text = foreign(Path::new("/some/.lookout"), Uid::from_raw(0), Uid::from_raw(4_000_000));

        assert!(text.starts_with("/some/.lookout belongs to root, and you are user 4000000:"), "{text}");
        assert!(text.contains("LOOKOUT_STATE"), "{text}");
    }

    #[test]
    fn two_runners_do_not_share_a_folder() {
        let first = Folder::temporary().unwrap();

        let second = Folder::kept(first.path()).unwrap_err();

        assert!(second.to_string().contains("`stack down` stops it"), "{second}");
    }

    #[test]
    fn a_secret_is_made_once_and_only_its_owner_may_read_it() {
        let folder = Folder::temporary().unwrap();

        let made = folder.random_secret("token").unwrap();

        assert_eq!(made.len(), 48);
        assert_eq!(folder.random_secret("token").unwrap(), made);
        let file = fs::metadata(folder.path().join("secrets/token")).unwrap();
        assert_eq!(file.permissions().mode() & 0o777, 0o600);
    }
}
