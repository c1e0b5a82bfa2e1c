//! The Helm chart, rendered by Helm's engine and judged by the schemas of Kubernetes, of several
//! releases.

use std::{collections::BTreeSet, path::Path};

use serde_json::Value;

use crate::{
    files::{pass, tool},
    image::check_configuration,
    rules::alerts,
};

const CHART: &str = "deploy/helm/tollgate";

/// The objects of a case.
fn objects(directory: &Path, case: &str) -> Vec<Value> {
    serde_json::from_str(&std::fs::read_to_string(directory.join(format!("{case}.json"))).unwrap()).unwrap()
}

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["kind"] == kind).collect()
}

/// Checks a configuration that the chart makes with the program that reads it.
fn check_made(directory: &Path, objects: &[Value], program: &str) {
    let file = format!("{program}.yaml");
    let made = of_kind(objects, "ConfigMap").into_iter().find_map(|map| map["data"][&file].as_str()).unwrap();
    let path = directory.join(file);
    std::fs::write(&path, made).unwrap();
    check_configuration(program, path.to_str().unwrap());
}

/// Rules that every pod of Tollgate keeps.
fn assert_restricted(pod: &Value, name: &str) {
    assert_eq!(pod["automountServiceAccountToken"], false, "{name}");
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{name}");
    for container in pod["containers"].as_array().unwrap() {
        let security = &container["securityContext"];
        assert_eq!(security["readOnlyRootFilesystem"], true, "{name}");
        assert_eq!(security["allowPrivilegeEscalation"], false, "{name}");
        assert!(container["resources"]["limits"]["memory"].is_string(), "{name}");
        let variables = container["env"].as_array().unwrap();
        for secret in ["TOLLGATE_PEPPER", "TOLLGATE_STORE"] {
            let variable = variables.iter().find(|variable| variable["name"] == secret).unwrap();
            assert!(variable["valueFrom"]["secretKeyRef"].is_object() && variable["value"].is_null(), "{name}");
        }
    }
}

#[test]
fn chart_is_rendered_and_judged_and_tells_faults_of_values() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path();
    let python = tool("helm-python-sdk").join("python");
    pass(python, &["deploy/check/tools/chart.py", CHART, out.to_str().unwrap()]);

    for case in ["http", "kafka", "deployment"] {
        let objects = objects(out, case);
        check_made(out, &objects, "gateway");
        check_made(out, &objects, "billing");
        for object in &objects {
            if object["spec"]["template"]["spec"].is_object() {
                assert_restricted(&object["spec"]["template"]["spec"], object["metadata"]["name"].as_str().unwrap());
            }
        }
        assert_eq!(of_kind(&objects, "Job").len(), 1, "{case}: the migration");
    }
    let whole = objects(out, "kafka");
    let kinds: BTreeSet<_> = whole.iter().map(|object| object["kind"].as_str().unwrap()).collect();
    for kind in [
        "ConfigMap",
        "Deployment",
        "HorizontalPodAutoscaler",
        "NetworkPolicy",
        "PodDisruptionBudget",
        "PrometheusRule",
        "Service",
        "ServiceAccount",
        "ServiceMonitor",
        "StatefulSet",
    ] {
        assert!(kinds.contains(kind), "no {kind}");
    }
    let gateway = of_kind(&whole, "StatefulSet").into_iter().find(|set| set["spec"]["replicas"].is_null()).unwrap();
    assert_eq!(gateway["spec"]["volumeClaimTemplates"][0]["metadata"]["name"], "data");
    let groups = of_kind(&whole, "PrometheusRule")[0]["spec"]["groups"].as_array().unwrap().clone();
    let rules = groups.iter().flat_map(|group| group["rules"].as_array().unwrap());
    let told: BTreeSet<_> = rules.filter_map(|rule| rule["alert"].as_str().map(str::to_owned)).collect();
    assert_eq!(told, alerts());
    let url = groups
        .iter()
        .flat_map(|group| group["rules"].as_array().unwrap())
        .find_map(|rule| rule["annotations"]["runbook_url"].as_str());
    assert!(url.unwrap().starts_with("https://git.example.com/tollgate/blob/main/docs/runbook.md#"));
    assert_eq!(of_kind(&whole, "ServiceMonitor").len(), 3);
}
