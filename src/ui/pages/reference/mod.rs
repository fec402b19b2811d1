//! The API reference page.

mod words;

use leptos::prelude::*;

use crate::api;
use crate::model::{FieldView, OperationView, ProblemCode, ReferenceView, ResponseView, paths};
use crate::ui::components::load_failure::load_failure;
use crate::ui::components::rendered::{IntoRendered as _, Rendered};
use crate::ui::layout::WideLayout;

/// The page at `/api-reference`.
#[component]
pub fn Reference() -> impl IntoView {
    view! {
        <WideLayout title=words::TITLE>
            {Suspend::new(async move {
                match api::reference().await {
                    Ok(view) => loaded(&view).rendered(),
                    Err(error) => load_failure(words::TITLE, &error, paths::API_REFERENCE.to_owned()).rendered(),
                }
            })}
        </WideLayout>
    }
}

fn loaded(view: &ReferenceView) -> impl IntoView + use<> {
    view! {
        <header class="page-head">
            <div>
                <h1>{words::TITLE}</h1>
                <p class="lead">{view.about.clone()}</p>
            </div>
            <div class="page-actions">
                <a class="button" href="/api/openapi.json">
                    {words::OPENAPI_DOCUMENT}
                </a>
            </div>
        </header>
        <section aria-labelledby="key">
            <div class="section-head">
                <h2 id="key">{words::AUTHENTICATION}</h2>
                <span class="meta">{words::version(&view.version)}</span>
            </div>
            <p class="prose">{view.key.clone()}</p>
        </section>
        {view.operations.iter().map(operation).collect_view()}
        {problems()}
    }
}

fn operation(one: &OperationView) -> impl IntoView + use<> {
    let fields = (!one.fields.is_empty()).then(|| table(words::FIELDS, "Field", &one.fields));
    let example = (!one.example.is_empty()).then(|| {
        view! {
            <h3>{words::RESPONSE}</h3>
            <pre>
                <code>{one.example.clone()}</code>
            </pre>
        }
    });
    let parameters = (!one.parameters.is_empty()).then(|| table(words::PARAMETERS, "Parameter", &one.parameters));
    view! {
        <section class="stack" aria-labelledby=one.id.clone()>
            <h2 id=one.id.clone()>{one.summary.clone()}</h2>
            <p class="route">
                <code>{format!("{} {}", one.method, one.path)}</code>
                <span class="meta">{words::needed_scopes(&one.scopes)}</span>
            </p>
            <p class="prose">{one.description.clone()}</p>
            <pre>
                <code>{one.sample.clone()}</code>
            </pre>
            {parameters}
            {example}
            {fields}
            <h3>{words::STATUSES}</h3>
            <dl class="statuses">{one.answers.iter().map(response).collect_view()}</dl>
        </section>
    }
    .rendered()
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

fn table(title: &'static str, column: &'static str, fields: &[FieldView]) -> Rendered {
    let rows = fields.iter().map(|field| {
        view! {
            <tr>
                <td data-label=column>
                    <code>{field.name.clone()}</code>
                </td>
                <td data-label="Type">{words::field_type(&field.kind, field.required)}</td>
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
    .rendered()
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
                <td data-label=words::WHAT_TO_DO>{code.advice()}</td>
            </tr>
        }
    });
    view! {
        <section class="stack" aria-labelledby="problems">
            <h2 id="problems">{words::PROBLEMS}</h2>
            <p class="prose">
                {words::WHAT_PROBLEMS_ARE}
            </p>
            <table class="table">
                <thead>
                    <tr>
                        <th scope="col">"Code"</th>
                        <th scope="col">"Status"</th>
                        <th scope="col">{words::WHAT_TO_DO}</th>
                    </tr>
                </thead>
                <tbody>{rows.collect_view()}</tbody>
            </table>
        </section>
    }
}
