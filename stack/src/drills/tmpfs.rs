//! A disk small enough to be filled: a file system in memory, over a folder of the stack.

use std::{fs, io::Write, path::Path};

use anyhow::Context;
use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// Puts one of `bytes` over `folder`, which is made when missing. Only root may.
pub(super) fn cover(folder: &Path, bytes: u64) -> anyhow::Result<()> {
    fs::create_dir_all(folder)?;
    let size = format!("size={bytes},mode=0755");
    let flags = MsFlags::MS_NODEV | MsFlags::MS_NOEXEC | MsFlags::MS_NOSUID;
    mount(Some("tmpfs"), folder, Some("tmpfs"), flags, Some(size.as_str()))
        .with_context(|| format!("no small disk can be put over {}: this drill needs root", folder.display()))
}

/// Takes it away again, if it is there, with what is on it.
pub(super) fn uncover(folder: &Path) {
    // Also while somebody has a file open on it.
    let _ = umount2(folder, MntFlags::MNT_DETACH);
}

/// Writes until no byte fits, or `bytes` are written.
pub(super) fn fill(file: &Path, bytes: u64) -> anyhow::Result<()> {
    const PIECE: [u8; 4096] = [0; 4096];
    let mut file = fs::File::create(file)?;
    for _ in 0..bytes / 4096 {
        if file.write_all(&PIECE).is_err() {
            break;
        }
    }
    Ok(())
}
