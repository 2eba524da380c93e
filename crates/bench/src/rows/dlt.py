"""Pulls the simulated provider's customers and payment methods into a SQLite file with dlt."""

import os
import sys

base_url, in_flight, folder = sys.argv[1:]
os.environ["EXTRACT__WORKERS"] = in_flight
os.environ["EXTRACT__MAX_PARALLEL_ITEMS"] = in_flight

import dlt
from dlt.sources.rest_api import rest_api_source

source = rest_api_source(
    {
        "client": {
            "base_url": f"{base_url}/api/",
            "auth": {"type": "bearer", "token": "sandbox-bearer"},
            "headers": {"X-Payment-Account-Uid": "pa_main"},
        },
        "resources": [
            {
                "name": "customers",
                "primary_key": "uid",
                "endpoint": {
                    "path": "customers",
                    "data_selector": "value",
                    "paginator": {
                        "type": "offset",
                        "limit": 100,
                        "limit_param": "$top",
                        "offset_param": "$skip",
                        "total_path": None,
                    },
                },
            },
            {
                "name": "payment_methods",
                "primary_key": "saved_payment_method_uid",
                "include_from_parent": ["uid"],
                "parallelized": True,
                "endpoint": {
                    "path": "customers/{resources.customers.uid}/payment-methods",
                    "data_selector": "payment_methods",
                    "paginator": "single_page",
                },
            },
        ],
    }
)
destination = dlt.destinations.sqlalchemy(f"sqlite:///{folder}/dlt.db")
pipeline = dlt.pipeline("bench", destination=destination, dataset_name="main")
pipeline.run(source)
with pipeline.sql_client() as client:
    print(client.execute_sql("SELECT count(*) FROM customers")[0][0])
