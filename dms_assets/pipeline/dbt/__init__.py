"""The dbt project in the graph: specs of its models, building them, what surrounds a build."""
