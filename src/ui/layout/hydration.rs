//! Loads the browser's module, which hydrates the islands.

use leptos::nonce::use_nonce;
use leptos::prelude::*;

/// Hydrates the islands in document order. The children of an island get the context that the island provides.
const START: &str = r#"const islands = await import(script);
await islands.default({ module_or_path: wasm });
islands.hydrate();
for (const island of document.querySelectorAll("leptos-island")) {
  island.parentElement.closest("leptos-children")?.$$on_hydrate?.();
  await islands[island.dataset.component](island);
}"#;

/// Renders the script that loads the module, and the request for the wasm, in place of Leptos's `HydrationScripts`.
///
/// That one preloads the script beside the stylesheet. Both then share the line, and at 1.6 Mbit/s the stylesheet arrives
/// some 30 ms later. Here the browser requests the script after the stylesheet. It requests the wasm at once, because that
/// takes longest, with low priority.
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
