"""What the Sticky Pi API's own twin on a local disk does, step by step, written
anew for measuring: with Pillow and SQLAlchemy, without HTTP.

    steps.py photographs FOLDER PHOTOGRAPH   a line is the name of one that comes in
    steps.py fingerprints FOLDER DATABASE    a line is a list of them in JSON

It says "ready", and then answers each line with one.
"""

import ast
import datetime
import hashlib
import io
import json
import os
import sys

import PIL.ExifTags
import PIL.Image
import sqlalchemy
from sqlalchemy import DECIMAL, Column, DateTime, Float, Integer, SmallInteger, String
from sqlalchemy.orm import declarative_base, sessionmaker

THUMBNAIL, SMALL = (512, 384), (128, 96)
AT_ONCE = 128  # images that its client looks up at once: 16 for each of 8 threads
NAME_TIME = "%Y-%m-%d_%H-%M-%S"

Base = declarative_base()


class Image(Base):
    __tablename__ = "images"
    __table_args__ = (sqlalchemy.UniqueConstraint("device", "datetime"),)

    id = Column(Integer, primary_key=True)
    device = Column(String(8), nullable=False)
    datetime = Column(DateTime, nullable=False)
    md5 = Column(String(32), nullable=False)
    device_version = Column(String(8))
    width = Column(SmallInteger, nullable=False)
    height = Column(SmallInteger, nullable=False)
    lat = Column(DECIMAL(9, 6))
    lng = Column(DECIMAL(9, 6))
    alt = Column(SmallInteger)
    temp = Column(Float)
    hum = Column(Float)

    def to_dict(self):
        return {column.name: getattr(self, column.name) for column in self.__table__.columns}


def read(path, name):
    """The row and the two small pictures of a photograph."""
    device, time, _ = name.split(".")
    int(device, base=16)
    row = Image(device=device, datetime=datetime.datetime.strptime(time, NAME_TIME))
    with open(path, "rb") as file:
        digest = hashlib.md5()
        while block := file.read(1 << 20):
            digest.update(block)
        row.md5 = digest.hexdigest()
        file.seek(0)
        blob = file.read()
        PIL.Image.open(io.BytesIO(blob)).load()  # the check: all of it decoded
        with PIL.Image.open(file) as picture:
            tags = {PIL.ExifTags.TAGS[tag]: value for tag, value in picture.getexif().items() if tag in PIL.ExifTags.TAGS}
            row.width, row.height = picture.size
            picture.thumbnail(THUMBNAIL)
            thumbnail = picture.copy()
            picture.thumbnail(SMALL)
            small = picture.copy()
    told = ast.literal_eval(tags["Make"]) if "Make" in tags else {}
    for column in ("lat", "lng", "alt", "temp", "hum"):
        setattr(row, column, told.get(column))
    return row, blob, thumbnail, small


def photographs(sessions, folder, photograph):
    def take(name):
        session = sessions()
        row, blob, thumbnail, small = read(photograph, name)
        session.add(row)
        target = os.path.join(folder, "raw_images", row.device, name)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "wb") as file:
            file.write(blob)
        thumbnail.save(target + ".thumbnail", format="jpeg")
        small.save(target + ".thumbnail-mini", format="jpeg")
        session.commit()
        return "CREATED"

    return take


def copy_of(engine, database):
    """Fills its table from a database of Tagma's."""
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text("ATTACH :path AS tagma"), {"path": database})
        if connection.execute(sqlalchemy.text("SELECT count(*) FROM main.images")).scalar() == 0:
            connection.execute(
                sqlalchemy.text("""INSERT INTO main.images
                    SELECT id, device, strftime('%Y-%m-%d %H:%M:%S.000000', taken_at / 1000, 'unixepoch'), md5, '1.0.0',
                        width, height, latitude, longitude, altitude, temperature, humidity FROM tagma.images""")
            )


def get_images(sessions, wanted):
    session = sessions()
    same = [
        sqlalchemy.and_(Image.datetime == datetime.datetime.fromisoformat(one["takenAt"]), Image.device == one["device"])
        for one in wanted
    ]
    return [dict(image.to_dict(), url="") for image in session.query(Image).filter(sqlalchemy.or_(*same))]


def fingerprints(sessions, folder, database):
    copy_of(sessions.kw["bind"], database)

    def compare(line):
        wanted = json.loads(line)
        for one in wanted:
            one["takenAt"] = one["takenAt"].removesuffix("Z")
        there = {}
        for first in range(0, len(wanted), AT_ONCE):
            for image in get_images(sessions, wanted[first : first + AT_ONCE]):
                there[image["device"], image["datetime"].isoformat()] = image["md5"]
        found = [(one["md5"], there.get((one["device"], one["takenAt"]))) for one in wanted]
        return " ".join("NEW" if have is None else "SAME" if have == want else "CONFLICT" for want, have in found)

    return compare


def main(job, folder, argument):
    engine = sqlalchemy.create_engine("sqlite:///" + os.path.join(folder, job + ".db"))
    Base.metadata.create_all(engine)
    answer = {"photographs": photographs, "fingerprints": fingerprints}[job](sessionmaker(bind=engine), folder, argument)
    print("ready", flush=True)
    for line in sys.stdin:
        print(answer(line.strip()), flush=True)


main(*sys.argv[1:])
