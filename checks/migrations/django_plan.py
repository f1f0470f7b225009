# Writes the migrations of a Django project to file descriptor 3, as one line of
# JSON. It asks Django's own loader for what is on disk, and no database. It is
# run by "manage.py shell --command", or after django.setup().


def hale_plan():
    import json
    import os

    from django.apps import apps
    from django.db import connections
    from django.db.migrations.loader import MigrationLoader

    alias = os.environ["HALE_DATABASE_ALIAS"]
    plan = {"databases": sorted(connections), "vendor": ""}
    if alias in plan["databases"]:
        plan["vendor"] = connections[alias].vendor
    loader = MigrationLoader(None, load=False)
    loader.load_disk()
    plan["apps"] = {
        config.label: config.label in loader.migrated_apps for config in apps.get_app_configs()
    }
    plan["migrations"] = [
        {
            "app": app,
            "name": name,
            "dependencies": [[str(key[0]), str(key[1])] for key in migration.dependencies],
            "run_before": [[str(key[0]), str(key[1])] for key in migration.run_before],
            "replaces": [[str(key[0]), str(key[1])] for key in migration.replaces],
        }
        for (app, name), migration in sorted(loader.disk_migrations.items())
    ]
    with os.fdopen(3, "w", encoding="utf-8") as out:
        out.write(json.dumps(plan) + "\n")


hale_plan()
