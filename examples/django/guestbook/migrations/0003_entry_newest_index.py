from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("guestbook", "0002_entry_visible")]

    operations = [
        migrations.AddIndex(
            model_name="entry",
            index=models.Index(fields=["-written"], name="guestbook_newest"),
        ),
    ]
