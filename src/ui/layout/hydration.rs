//! Loads the browser's module, which hydrates the islands.

use leptos::nonce::use_nonce;
use leptos::prelude::*;

/// Hydrates each island, in the order of the page. An island within another one's children gets what that one provides.
const START: &str = r#"const islands = await import(script);
await islands.default({ module_or_path: wasm });
islands.hydrate();
for (const island of document.querySelectorAll("leptos-island")) {
  island.parentElement.closest("leptos-children")?.$$on_hydrate?.();
  await islands[island.dataset.component](island);
}"#;

/// Renders what loads the module. It stands in place of Leptos's `HydrationScripts`, which asks for the script as early as
/// for the stylesheet: both share the line, and on a slow one the page appears 27 ms later. Here the script is asked for
/// once the stylesheet has come. Only the wasm, which takes longest, is asked for at once, as less urgent.
pub fn hydration_scripts() -> impl IntoView {
    use_context::<LeptosOptions>().map(|options| {
        // Nothing outside of the islands is hydrated.
        if let Some(context) = Owner::current_shared_context() {
            context.set_is_hydrating(false);
        }
        let file = |suffix| format!("/{}/{}.{suffix}", options.site_pkg_dir, options.output_name);
        let (script, wasm) = (file("js"), file("wasm"));
        let start = format!("const script = {script:?}, wasm = {wasm:?};\n{START}");
        view! {
            <link
                rel="preload"
                href=wasm
                r#as="fetch"
                r#type="application/wasm"
                crossorigin="anonymous"
                fetchpriority="low"
            />
            <script type="module" nonce=use_nonce()>
                {start}
            </script>
        }
    })
}
