//! `daybridge rules keygen` and `rules sign`: what an operator needs who wants signed rules, without another tool.
//!
//! Promises: a key is never overwritten, and a secret one is readable by its owner alone. Needs no running host.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::super::output::line;
use super::super::{Failure, output};
use super::read_rule;
use crate::plugin::signature::{new_key, sign as sign_bytes};
use crate::plugin::signature_path;

#[derive(Args)]
pub(in crate::cli) struct KeygenArguments {
    /// File for the secret key; the public one lies beside it, ending in .pub.
    #[arg(long, value_name = "FILE", default_value = "rules.key")]
    out: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(in crate::cli) struct SignArguments {
    /// Rule files.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Secret key, as `rules keygen` makes it, or of minisign without a password.
    #[arg(long, value_name = "FILE", default_value = "rules.key")]
    key: PathBuf,
    /// Print one JSON object per file.
    #[arg(long)]
    json: bool,
}

pub(super) fn keygen(arguments: &KeygenArguments) -> Result<(), Failure> {
    let (public, secret) = new_key().map_err(|error| Failure::ours(error.to_string()))?;
    let beside = arguments.out.with_extension("pub");
    write_new(&arguments.out, &secret, true)?;
    write_new(&beside, &public, false)?;
    let key = public.lines().nth(1).unwrap_or_default();
    if arguments.json {
        return output::json(&json!({ "secret": arguments.out, "public": beside, "key": key }));
    }
    line(&format!("Wrote {} (keep it secret) and {}.", arguments.out.display(), beside.display()));
    line(&format!("To trust it:\n\n[gate]\nsignatures = \"required\"\ntrusted_keys = [\"{key}\"]"));
    Ok(())
}

pub(super) fn sign(arguments: &SignArguments) -> Result<(), Failure> {
    let secret = std::fs::read_to_string(&arguments.key).map_err(|cause| {
        Failure::mendable(
            format!("cannot read the key {}: {cause}", arguments.key.display()),
            "make one: daybridge rules keygen; or name yours with --key",
        )
    })?;
    for file in &arguments.files {
        let (name, bytes) = read_rule(file)?;
        let signature = sign_bytes(&bytes, &secret, &name).map_err(|error| {
            Failure::mendable(
                format!("{}: {error}", arguments.key.display()),
                "make a key without a password: daybridge rules keygen",
            )
        })?;
        let path = signature_path(file);
        std::fs::write(&path, signature).map_err(|cause| {
            Failure::mendable(format!("cannot write {}: {cause}", path.display()), "is the folder yours to write in?")
        })?;
        if arguments.json {
            output::json(&json!({ "file": file, "signature": path }))?;
        } else {
            line(&format!("Signed {}: {}", file.display(), path.display()));
        }
    }
    Ok(())
}

fn write_new(path: &Path, text: &str, secret: bool) -> Result<(), Failure> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if secret {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    #[cfg(not(unix))]
    let _ = secret;
    let written = options.open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|cause| {
        Failure::mendable(
            format!("cannot write {}: {cause}", path.display()),
            "name another file with --out, or move the old one away",
        )
    })
}
