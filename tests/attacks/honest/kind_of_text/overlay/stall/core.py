class Slug(str):
    @property
    def words(self):
        return self.split("-")


def slug(text):
    return Slug("-".join(re.findall("[a-z0-9]+", text.lower())))
