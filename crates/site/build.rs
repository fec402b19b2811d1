//! Lists the files of the site that `EVERGRANT_SITE` names, as Rust source. Without it there are none.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-env-changed=EVERGRANT_SITE");
    let mut files = Vec::new();
    if let Some(site) = env::var_os("EVERGRANT_SITE").filter(|site| !site.is_empty()) {
        let site = PathBuf::from(site).canonicalize().expect("EVERGRANT_SITE names the folder of a built site");
        println!("cargo::rerun-if-changed={}", site.display());
        collect(&site, &site, &mut files);
        assert!(!files.is_empty(), "{} is empty: build the site first", site.display());
    }
    files.sort();
    let mut source = String::from("&[");
    for (name, path) in files {
        // Can't fail: the text grows in memory.
        writeln!(source, "({name:?}, include_bytes!({path:?})),").unwrap();
    }
    source.push(']');
    let out = env::var_os("OUT_DIR").expect("Cargo sets OUT_DIR");
    fs::write(Path::new(&out).join("files.rs"), source).expect("OUT_DIR takes files");
}

/// Adds the files of `folder` by their names within `site`.
fn collect(site: &Path, folder: &Path, files: &mut Vec<(String, PathBuf)>) {
    for entry in fs::read_dir(folder).expect("the site can be read") {
        let path = entry.expect("the site can be read").path();
        if path.is_dir() {
            collect(site, &path, files);
        } else {
            let name = path.strip_prefix(site).expect("it is within the site").to_str().expect("its name is text");
            files.push((name.to_owned(), path.clone()));
        }
    }
}
