//! Adds to the OpenAPI document what follows from the declaration of an operation.

use std::collections::BTreeMap;

use quorate_api::{PROBLEM_CONTENT_TYPE, ProblemType};
use utoipa::{
    PartialSchema,
    openapi::{
        ContentBuilder, Ref, RefOr, Required, Response, ResponseBuilder,
        path::{Operation, ParameterBuilder, ParameterIn},
    },
};

/// The parameters in paths, by name, with their descriptions.
const PATH_PARAMS: [(&str, &str); 4] = [
    ("key", "The key, in z-base-32"),
    ("name", "The name of the token"),
    (
        "node",
        "The node: its key, a unique prefix of the key, or its name",
    ),
    (
        "zone",
        "The name of the zone, with or without a dot at the end; `@` for the root",
    ),
];

/// Adds the parameters in `path`, and the problems of an operation: its `own`, and those of the
/// token check and of its input.
pub(crate) fn document_operation(
    operation: &mut Operation,
    path: &str,
    (scope, method): (&str, &str),
    own: &[ProblemType],
) {
    let parameters = operation.parameters.get_or_insert_default();
    let segments = PATH_PARAMS.iter();
    let open = segments.filter(|(name, _)| path.contains(&format!("{{{name}}}")));
    let open = open.map(|(name, description)| {
        let parameter = ParameterBuilder::new()
            .name(*name)
            .parameter_in(ParameterIn::Path)
            .required(Required::True)
            .description(Some(*description))
            .schema(Some(String::schema()));
        RefOr::T(parameter.build())
    });
    parameters.splice(0..0, open);
    let mut problem_types = vec![ProblemType::NotAuthorized, ProblemType::Scope];
    if scope == "operate" || !parameters.is_empty() {
        problem_types.push(ProblemType::BadRequest);
    }
    // The body of a change is read completely, and must not be a form of a web page.
    if scope == "operate" {
        problem_types.push(ProblemType::TooLong);
    }
    if scope == "operate" && method != "delete" {
        problem_types.push(ProblemType::MediaType);
    }
    operation.parameters.take_if(|all| all.is_empty());
    problem_types.extend(own);
    let responses = &mut operation.responses.responses;
    responses.extend(responses_of(&problem_types));
}

/// A response for each status, with the types of its problems.
fn responses_of(problem_types: &[ProblemType]) -> BTreeMap<String, RefOr<Response>> {
    let mut described = BTreeMap::<String, Vec<String>>::new();
    for problem_type in problem_types {
        let line = format!("`{problem_type}`: {}", problem_type.title());
        let lines = described.entry(problem_type.status().to_string());
        lines.or_default().push(line);
    }
    let response = |(status, lines): (String, Vec<String>)| {
        let content = ContentBuilder::new()
            .schema(Some(Ref::from_schema_name("Problem")))
            .build();
        let response = ResponseBuilder::new()
            .description(lines.join("; "))
            .content(PROBLEM_CONTENT_TYPE, content)
            .build();
        (status, response.into())
    };
    described.into_iter().map(response).collect()
}
