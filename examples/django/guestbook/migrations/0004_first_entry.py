from django.db import migrations


def write(apps, schema_editor):
    Entry = apps.get_model("guestbook", "Entry")
    if not Entry.objects.exists():
        Entry.objects.create(author="The landlady", text="Welcome! Please sign the book.")


class Migration(migrations.Migration):
    dependencies = [("guestbook", "0003_entry_newest_index")]

    operations = [migrations.RunPython(write, migrations.RunPython.noop)]
