//! `evergrant-bindgen MODULE FOLDER` makes `evergrant.js` and `evergrant.wasm` in a folder from what the compiler built of
//! the browser's package.

use std::path::PathBuf;
use std::{env, fs};

use anyhow::{Context as _, bail};
use wasm_bindgen_cli_support::Bindgen;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    let [module, folder] = arguments.as_slice() else { bail!("usage: evergrant-bindgen MODULE FOLDER") };
    let mut bindgen = Bindgen::new();
    bindgen.input_path(module).out_name("evergrant").web(true)?.typescript(false);
    bindgen.generate(folder).with_context(|| format!("{} can't be prepared for browsers", module.display()))?;
    // The name under which Leptos loads it.
    fs::rename(folder.join("evergrant_bg.wasm"), folder.join("evergrant.wasm"))
        .context("evergrant.wasm can't be written")
}
