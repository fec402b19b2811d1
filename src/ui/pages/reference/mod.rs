//! The API reference page.

use leptos::prelude::*;

use crate::api;
use crate::model::{FieldView, OperationView, ProblemCode, ReferenceView, ResponseView, paths};
use crate::ui::components::load_failure::load_failure;
use crate::ui::layout::WideLayout;

/// The page at `/api-reference`.
#[component]
pub fn Reference() -> impl IntoView {
    view! {
        <WideLayout title="API">
            {Suspend::new(async move {
                match api::reference().await {
                    Ok(view) => loaded(&view).into_any(),
                    Err(error) => load_failure("API", &error, paths::API_REFERENCE.to_owned()).into_any(),
                }
            })}
        </WideLayout>
    }
}

fn loaded(view: &ReferenceView) -> impl IntoView + use<> {
    view! {
        <header class="page-head">
            <div>
                <h1>"API"</h1>
                <p class="lead">{view.about.clone()}</p>
            </div>
            <div class="page-actions">
                <a class="button" href="/api/openapi.json">
                    "OpenAPI document"
                </a>
            </div>
        </header>
        <section aria-labelledby="key">
            <div class="section-head">
                <h2 id="key">"Authentication"</h2>
                <span class="meta">{format!("Version {}", view.version)}</span>
            </div>
            <p class="prose">{view.key.clone()}</p>
        </section>
        {view.operations.iter().map(operation).collect_view()}
        {problems()}
    }
}

fn operation(one: &OperationView) -> impl IntoView + use<> {
    let fields = (!one.fields.is_empty()).then(|| table("Fields", "Field", &one.fields));
    let example = (!one.example.is_empty()).then(|| {
        view! {
            <h3>"Response"</h3>
            <pre>
                <code>{one.example.clone()}</code>
            </pre>
        }
    });
    let parameters = (!one.parameters.is_empty()).then(|| table("Parameters", "Parameter", &one.parameters));
    view! {
        <section class="stack" aria-labelledby=one.id.clone()>
            <h2 id=one.id.clone()>{one.summary.clone()}</h2>
            <p class="route">
                <code>{format!("{} {}", one.method, one.path)}</code>
                <span class="meta">{format!("Scope {}", one.scopes.join(", "))}</span>
            </p>
            <p class="prose">{one.description.clone()}</p>
            <pre>
                <code>{one.sample.clone()}</code>
            </pre>
            {parameters}
            {example}
            {fields}
            <h3>"Statuses"</h3>
            <dl class="statuses">{one.answers.iter().map(response).collect_view()}</dl>
        </section>
    }
    .into_any()
}

fn response(one: &ResponseView) -> impl IntoView + use<> {
    let headers = one.headers.iter().map(|header| {
        view! {
            <li>
                <code>{header.name.clone()}</code>
                {format!(": {}", header.description)}
            </li>
        }
    });
    let headers = (!one.headers.is_empty()).then(|| view! { <ul class="hint">{headers.collect_view()}</ul> });
    view! {
        <div>
            <dt>{one.status.clone()}</dt>
            <dd>{one.description.clone()} {headers}</dd>
        </div>
    }
}

fn table(title: &'static str, column: &'static str, fields: &[FieldView]) -> AnyView {
    let rows = fields.iter().map(|field| {
        let needed = if field.required { "" } else { ", optional" };
        view! {
            <tr>
                <td data-label=column>
                    <code>{field.name.clone()}</code>
                </td>
                <td data-label="Type">{format!("{}{needed}", field.kind)}</td>
                <td data-label="Meaning">{field.description.clone()}</td>
            </tr>
        }
    });
    view! {
        <h3>{title}</h3>
        <table class="table">
            <thead>
                <tr>
                    <th scope="col">{column}</th>
                    <th scope="col">"Type"</th>
                    <th scope="col">"Meaning"</th>
                </tr>
            </thead>
            <tbody>{rows.collect_view()}</tbody>
        </table>
    }
    .into_any()
}

/// Renders the problems that every operation can return.
fn problems() -> impl IntoView {
    let rows = ProblemCode::ALL.iter().map(|code| {
        view! {
            <tr id=code.as_str()>
                <td data-label="Code">
                    <code>{code.as_str()}</code>
                </td>
                <td data-label="Status">{code.status()}</td>
                <td data-label="What to do">{code.advice()}</td>
            </tr>
        }
    });
    view! {
        <section class="stack" aria-labelledby="problems">
            <h2 id="problems">"Problems"</h2>
            <p class="prose">
                "Errors are returned as problem details (RFC 9457), application/problem+json: code names the problem, detail says what happened and what to do."
            </p>
            <table class="table">
                <thead>
                    <tr>
                        <th scope="col">"Code"</th>
                        <th scope="col">"Status"</th>
                        <th scope="col">"What to do"</th>
                    </tr>
                </thead>
                <tbody>{rows.collect_view()}</tbody>
            </table>
        </section>
    }
}
